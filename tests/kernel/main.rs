//! What needs the kernel itself: network namespaces of the test's own, the packet queue, and a guest whose kernel has netem.
//! Podman is here too: beside many other tests it is too slow for the program's patience.

mod namespace_state;
mod netem;
mod podman;
mod probe;
mod shaper;
