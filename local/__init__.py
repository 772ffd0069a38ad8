"""The whole stack on one machine: the resources of template.yaml on an emulator, with its functions and API."""
