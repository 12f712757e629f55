//! Records of a node's former life; several faults on one path; what nobody measured.
