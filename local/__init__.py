"""The whole stack on one machine: template.yaml on moto, fed and served as AWS would."""
