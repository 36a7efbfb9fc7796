//! The gateway: the node's JSON-RPC over HTTP and WebSocket.
//!
//! # Limits
//!
//! Bodies, batches, connections and submissions per call are bounded; what is above gets an error that says so. Nothing
//! that a client sends reaches an actor before it is decoded and bounded here.

mod backend;
mod metrics;
mod server;

pub use backend::Backend;
pub use server::{GatewayError, start};
