"""A Kubernetes API over real sockets, for the real client: Jobs, Pods, Events, and what its credentials may do.

objects.py holds what there is, api.py speaks HTTP, controllers.py plays Job controller, scheduler and kubelet, whose
containers are processes. A suite (test_fidelity.py) that also runs against a real API server keeps it honest.
"""
