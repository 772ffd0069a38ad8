"""Import an existing bucket: copy its pictures into the uploads bucket, on the server side."""
