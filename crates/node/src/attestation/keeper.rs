//! Attestations on a node that signs none: kept, and answered from.

use super::{
    Closing, Event, Ingress, Mailbox, Request,
    store::{Attestations, Error},
};
use crate::runtime::Context;
use chorale_types::{Attestation, Epoch, Height};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Heights between two times that attestations are made durable. What a crash loses is asked for again.
const SYNC_HEIGHTS: u64 = 64;

/// An attestation that was verified, with the outcome if it closes an epoch.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The attestation.
    pub attestation: Attestation,
    /// How its epoch ended with it.
    pub closing: Option<Closing>,
}

/// Keeps attestations that were verified elsewhere, and answers from them.
pub struct Keeper<E: Context> {
    context: E,
    retention_heights: u64,
    ingress: Ingress,
    attestations: Attestations<E>,
}

impl<E: Context> Keeper<E> {
    /// Reads what is kept. `attested`: up to where everything is attested.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn open(
        context: E,
        partition: &str,
        retention_heights: u64,
        attested: Height,
    ) -> Result<(Self, Mailbox), Error> {
        let attestations = Attestations::open(context.child("attestations"), partition).await?;
        let (mailbox, ingress) = Mailbox::new();
        ingress.attested.send_replace(attested);
        Ok((Self { context, retention_heights, ingress, attestations }, mailbox))
    }

    /// How the epochs before this one ended, in order, as far as this node has been there.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn closings(&self) -> Result<Vec<Closing>, Error> {
        let mut closings = Vec::new();
        while let Some(closing) = self.attestations.closing(Epoch(closings.len() as u64)).await? {
            closings.push(closing);
        }
        Ok(closings)
    }

    /// Keeps what comes, in the order of heights, until the node is shut down.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn run(mut self, mut verified: mpsc::Receiver<Verified>) -> Result<(), Error> {
        let mut stopped = self.context.stopped();
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                Some(request) = self.ingress.requests.recv() => match request {
                    Request::Get { height, reply } => drop(reply.send(self.attestations.get(height).await?)),
                    Request::Closing { epoch, reply } => drop(reply.send(self.attestations.closing(epoch).await?)),
                },
                next = verified.recv() => match next {
                    Some(next) => self.keep(next).await?,
                    None => break,
                },
            }
        }
        Ok(self.attestations.sync().await?.await?)
    }

    async fn keep(&mut self, verified: Verified) -> Result<(), Error> {
        let Verified { attestation, closing } = verified;
        if let Some(closing) = closing {
            self.attestations.close(&closing).await?;
        }
        self.attestations.put(&attestation).await?;
        let height = attestation.height;
        let _ = self.ingress.events.send(Event::Attested(Arc::new(attestation)));
        self.ingress.attested.send_if_modified(|attested| {
            let advanced = height > *attested;
            *attested = height.max(*attested);
            advanced
        });
        if height.0.is_multiple_of(SYNC_HEIGHTS) {
            drop(self.attestations.sync().await?);
            self.attestations.prune(Height(height.0.saturating_sub(self.retention_heights))).await?;
        }
        Ok(())
    }
}
