//! Which containers are nodes, and where they keep their data.
