//! From the genesis to the validators of any epoch: what leads there is asked for once, checked, and kept for proofs.

use chorale_api::ChoraleApiClient as _;
use chorale_client::Nodes;
use chorale_light::{HandOver, Light, LightError};
use chorale_types::{
    Attestation, DomainId, Epoch, Genesis,
    codec::{EncodeSize as _, List, decode},
};
use std::sync::Arc;
use tokio::sync::Mutex;
use tracing::debug;

/// Bytes of the hand-overs that are put into one proof file at most.
const HAND_OVERS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why there is nothing that leads to an epoch.
#[derive(Debug)]
pub(crate) enum Untrusted {
    /// No node gives a hand-over that holds.
    Missing {
        /// Of which epoch.
        epoch: Epoch,
        /// Why the last one that was given does not hold.
        last: Option<LightError>,
    },
    /// Between the epochs there are more hand-overs than a proof file holds.
    TooMany,
}

/// What is known of epochs. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Trust(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    light: Light,
    /// From the first epoch on; each was checked.
    hand_overs: Vec<HandOver>,
}

impl Trust {
    /// All trust begins here.
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let light = Light::new(genesis.first_epoch(), genesis.parameters().epoch_heights);
        Self(Arc::new(Mutex::new(Known { light, hand_overs: Vec::new() })))
    }

    /// Whether an attestation of a domain holds. The nodes lead to its epoch.
    pub(crate) async fn check(
        &self,
        nodes: &Nodes,
        domain: DomainId,
        attestation: &Attestation,
    ) -> Result<bool, Untrusted> {
        let mut known = self.0.lock().await;
        known.lead_to(nodes, attestation.epoch).await?;
        Ok(known.light.check(domain, attestation.epoch, attestation).is_ok())
    }

    /// What leads from an epoch to another one. The nodes lead there.
    pub(crate) async fn hand_overs<const MAX: usize>(
        &self,
        nodes: &Nodes,
        from: Epoch,
        to: Epoch,
    ) -> Result<List<HandOver, MAX>, Untrusted> {
        let mut known = self.0.lock().await;
        known.lead_to(nodes, to).await?;
        let index = |epoch: Epoch| usize::try_from(epoch.0).unwrap_or(usize::MAX).min(known.hand_overs.len());
        let found = &known.hand_overs[index(from).min(index(to))..index(to)];
        let bytes: usize = found.iter().map(HandOver::encode_size).sum();
        let list = List::new(found.to_vec()).ok().filter(|_| bytes <= HAND_OVERS_BYTES_MAX);
        list.ok_or(Untrusted::TooMany)
    }
}

impl Known {
    /// Goes on to an epoch: of each one before, the first node whose hand-over holds is believed.
    async fn lead_to(&mut self, nodes: &Nodes, epoch: Epoch) -> Result<(), Untrusted> {
        while self.light.last().epoch < epoch {
            self.next(nodes).await?;
        }
        Ok(())
    }

    async fn next(&mut self, nodes: &Nodes) -> Result<(), Untrusted> {
        let (epoch, mut last) = (self.light.last().epoch, None);
        for node in nodes.iter() {
            let Ok(answer) = node.client.hand_over(epoch.0).await else { continue };
            let Ok(hand_over) = decode::<HandOver>(answer.0) else { continue };
            match self.light.hand_over(hand_over.clone()) {
                Ok(()) => {
                    self.hand_overs.push(hand_over);
                    return Ok(());
                }
                Err(error) => {
                    debug!(url = node.url, %error, "a hand-over that does not hold");
                    last = Some(error);
                }
            }
        }
        Err(Untrusted::Missing { epoch, last })
    }
}
