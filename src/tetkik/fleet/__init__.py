"""Many machines: workers that share the studies, and bulk scoring."""
