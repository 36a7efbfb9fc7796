//! Real sockets, real disk.
