//! The gateway: the node's JSON-RPC over HTTP and WebSocket.
//!
//! # Limits
//!
//! Bodies, batches, connections and submissions per call are bounded, and what one client may ask for in a second; what is
//! above gets an error that says so. Nothing
//! that a client sends reaches an actor before it is decoded and bounded here.

mod answers;
mod backend;
mod domains;
mod figures;
mod limits;
mod places;
mod pool;
mod server;
mod socket;
mod subscriptions;
mod throttle;
mod timeline;
mod upstream;
mod watched;

pub use backend::Backend;
pub use limits::Limits;
pub use places::Places;
pub use pool::Pool;
pub use server::{GatewayError, start};
pub use subscriptions::places as places_for_subscriptions;
pub use timeline::Timeline;
pub use upstream::Upstream;
