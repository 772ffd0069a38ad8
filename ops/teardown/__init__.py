"""Delete a deployed stack with all its data: its resources, and the buckets and tables that it would leave behind.

CloudFormation keeps the buckets and tables of a deleted stack because of their DeletionPolicy, and cannot delete a
bucket that is not empty. So this empties the buckets, deletes the stack, then deletes what is left. Every step
starts from the current state, so a second run continues an interrupted one, even if the stack itself is already
gone."""
