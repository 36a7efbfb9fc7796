//! The chain's figures.

use super::Backend;
use chorale_api::Figures;

/// The chain's figures, followed by those of the runtime: network, disk and tasks.
pub(super) fn figures(backend: &Backend, runtime: &(dyn Fn() -> String + Send + Sync)) -> String {
    let position = backend.chain.position.borrow().clone();
    let mut figures = Figures::default();
    figures.gauge("chorale_epoch", "The epoch the node is in.", position.epoch.epoch.0);
    figures.gauge("chorale_view", "The view the node is in.", position.view.0);
    figures.gauge("chorale_height_committed", "The last committed height.", backend.chain.committed.borrow().0);
    figures.gauge("chorale_height_settled", "The last settled height.", backend.settlement.settled().borrow().0);
    figures.gauge("chorale_height_attested", "The last attested height.", backend.attestation.attested().borrow().0);
    let waiting = backend.pool.waiting();
    figures.gauge("chorale_mempool_waiting", "Entries of the mempool that no payload in flight carries.", waiting);
    let is_validator = u64::from(position.index.is_some());
    figures.gauge("chorale_validator", "1 if the node is a validator of the epoch.", is_validator);
    figures.into_text() + &runtime()
}
