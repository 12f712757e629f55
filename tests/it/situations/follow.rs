//! Peers that get another address while a fault names them.
