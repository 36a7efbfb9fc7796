//! Tests of the mempool actor.
