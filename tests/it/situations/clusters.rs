//! Several clusters in one project or on one network, PD's microservices, Swarm's tasks.
