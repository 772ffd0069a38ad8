"""Services that neither emulator of the local stack offers, each with a call that needs no arguments."""

NOT_OFFERED = [
    ("batch", "describe_job_queues"),
    ("ecs", "list_clusters"),
    ("lambda", "list_functions"),
    ("ec2", "describe_instances"),
    ("iam", "list_roles"),
    ("sns", "list_topics"),
    ("events", "list_rules"),
    ("stepfunctions", "list_state_machines"),
    ("cloudformation", "list_stacks"),
]
