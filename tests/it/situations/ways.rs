//! Nodes that reach one another by other addresses than Docker's own for them: the Docker host's and the ports that it passes
//! on, and link-local ones. The truth is what connections from inside the nodes' namespaces come to.

mod host;
mod link_local;
