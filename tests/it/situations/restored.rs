//! Whether a node that was killed or stopped is back, and what is lost with a stop.
