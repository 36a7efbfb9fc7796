//! Following what is attested of executed rollups.

use crate::{
    follower::{Fault, decoded, lead_to},
    nodes::Nodes,
};
use chorale_api::ChoraleApiClient as _;
use chorale_light::Light;
use chorale_types::{Attestation, DomainId, Genesis, Height};
use std::time::Duration;
use tracing::debug;

/// Follows the attestations of a domain through some nodes. Of each height there may be one, in order; which heights there
/// are only who executes the domain knows.
#[derive(Debug)]
pub struct AttestationFollower {
    domain: DomainId,
    nodes: Nodes,
    light: Light,
    last: Height,
    poll_interval: Duration,
}

impl AttestationFollower {
    /// Follows on from a height.
    #[must_use]
    pub fn new(genesis: &Genesis, domain: DomainId, last: Height, nodes: Nodes, poll_interval: Duration) -> Self {
        let light = Light::new(genesis.first_epoch(), genesis.parameters().epoch_heights);
        Self { domain, nodes, light, last, poll_interval }
    }

    /// The next attestations, verified; as soon as there is one. Never, if every node said something false: each is named in
    /// the log when it is dropped.
    pub async fn next(&mut self) -> Vec<Attestation> {
        loop {
            match self.ask().await {
                Ok(attestations) if !attestations.is_empty() => return attestations,
                // Who has none may not execute the domain, or withhold them.
                Ok(_) => self.nodes.next_turn(),
                Err(Fault::False(reason)) => self.nodes.drop_current(reason),
                Err(Fault::Silent(message) | Fault::Pruned(message)) => {
                    debug!(%message, "a node does not say what is attested");
                    self.nodes.next_turn();
                }
                Err(Fault::Forked(error)) => {
                    debug!(%error, "a node does not say what is attested");
                    self.nodes.next_turn();
                }
            }
            tokio::time::sleep(self.poll_interval).await;
        }
    }

    async fn ask(&mut self) -> Result<Vec<Attestation>, Fault> {
        let Some(node) = self.nodes.current().cloned() else { return Ok(Vec::new()) };
        let answer = node.client.execution_attestations(self.domain.0, self.last.0).await;
        let (mut attestations, mut last) = (Vec::new(), self.last);
        for bytes in answer.map_err(|error| Fault::of(&error))? {
            let attestation: Attestation = decoded("attestation", bytes)?;
            let height = attestation.height;
            if height <= last {
                let reason =
                    format!("attestations above height {last} are asked for, and one of height {height} is given");
                return Err(Fault::False(reason));
            }
            lead_to(&mut self.light, &node, attestation.epoch).await?;
            let checked = self.light.check(self.domain, attestation.epoch, &attestation);
            checked.map_err(|error| Fault::False(error.to_string()))?;
            last = height;
            attestations.push(attestation);
        }
        // Of an answer with something false in it nothing is taken.
        self.last = last;
        Ok(attestations)
    }
}
