//! Faults on the ways that the nodes' traffic really takes.
