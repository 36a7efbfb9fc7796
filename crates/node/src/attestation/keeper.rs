//! Attestations on a node that signs none: kept, and answered from.

use super::{
    Closing, Event, Ingress, Mailbox,
    store::{Attestations, Error},
};
use crate::runtime::Context;
use chorale_types::{Attestation, Epoch, Height};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the actor at most.
const REQUESTS_MAX: usize = 4;
/// Heights between two times that old attestations are let go.
const PRUNE_HEIGHTS: u64 = 64;

/// What the keeper is told.
enum Told {
    /// Keep this, and how its epoch ended with it.
    Keep { attestation: Attestation, closing: Option<Box<Closing>>, kept: oneshot::Sender<()> },
    /// Its height is settled here.
    Announce(Attestation),
}

/// Tells the keeper.
#[derive(Clone)]
pub struct Verified(mpsc::Sender<Told>);

/// The node is being shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutDown;

impl Verified {
    /// Keeps an attestation that was verified, and how its epoch ended with it. Durable when this returns: whoever settles
    /// the height after that finds both again, however the node ends.
    ///
    /// # Errors
    ///
    /// The node is being shut down.
    pub async fn keep(&self, attestation: Attestation, closing: Option<Closing>) -> Result<(), ShutDown> {
        let (kept, is_kept) = oneshot::channel();
        let closing = closing.map(Box::new);
        self.0.send(Told::Keep { attestation, closing, kept }).await.map_err(|_| ShutDown)?;
        is_kept.await.map_err(|_| ShutDown)
    }

    /// Says that everything up to an attestation's height is settled and attested here.
    ///
    /// # Errors
    ///
    /// The node is being shut down.
    pub async fn announce(&self, attestation: Attestation) -> Result<(), ShutDown> {
        self.0.send(Told::Announce(attestation)).await.map_err(|_| ShutDown)
    }
}

/// Keeps attestations that were verified elsewhere, and answers from them.
pub struct Keeper<E: Context> {
    context: E,
    retention_heights: u64,
    ingress: Ingress,
    attestations: Attestations<E>,
    told: mpsc::Receiver<Told>,
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
    ) -> Result<(Self, Mailbox, Verified), Error> {
        let attestations = Attestations::open(context.child("attestations"), partition).await?;
        let (mailbox, ingress) = Mailbox::new();
        ingress.attested.send_replace(attested);
        let (verified, told) = mpsc::channel(REQUESTS_MAX);
        Ok((Self { context, retention_heights, ingress, attestations, told }, mailbox, Verified(verified)))
    }

    /// The attestation of a height, if it is kept.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn get(&self, height: Height) -> Result<Option<Attestation>, Error> {
        self.attestations.get(height).await
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
    pub async fn run(mut self) -> Result<(), Error> {
        let mut stopped = self.context.stopped();
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(()),
                Some(request) = self.ingress.requests.recv() => self.attestations.answer(request).await?,
                told = self.told.recv() => match told {
                    Some(Told::Keep { attestation, closing, kept }) => {
                        self.keep(&attestation, closing.as_deref()).await?;
                        // Nobody waits any more if the node is being shut down.
                        let _ = kept.send(());
                    }
                    Some(Told::Announce(attestation)) => self.announce(attestation),
                    None => return Ok(()),
                },
            }
        }
    }

    async fn keep(&mut self, attestation: &Attestation, closing: Option<&Closing>) -> Result<(), Error> {
        if let Some(closing) = closing {
            self.attestations.close(closing).await?;
        }
        self.attestations.put(attestation).await?;
        self.attestations.sync().await?.await?;
        let height = attestation.height.0;
        if height.is_multiple_of(PRUNE_HEIGHTS) {
            self.attestations.prune(Height(height.saturating_sub(self.retention_heights))).await?;
        }
        Ok(())
    }

    fn announce(&self, attestation: Attestation) {
        let height = attestation.height;
        let _ = self.ingress.events.send(Event::Attested(Arc::new(attestation)));
        self.ingress.attested.send_replace(height);
    }
}

#[cfg(test)]
mod tests {
    use super::{Closing, Keeper};
    use crate::settlement::tests::{EPOCH_HEIGHTS, Node, config, revealed, run};
    use chorale_foundation::runtime::{Spawner as _, Supervisor as _};
    use chorale_types::{Attestation, DomainId, Height, Outcome, Signature, Signers};

    fn attestation(height: u64, outcome: &Outcome) -> Attestation {
        let (root, signers) = (outcome.root(), Signers::none(4));
        Attestation {
            domain: DomainId::ORDERING,
            epoch: outcome.epoch,
            height: Height(height),
            root,
            signers,
            signature: Signature::NONE,
        }
    }

    /// A full node that ended after it had settled the closing height of an epoch, and before it had kept what attests it,
    /// did not know the next validators when it started again, and took its honest peers for liars.
    #[test]
    fn what_is_kept_survives_a_crash_right_after() {
        run(21, async |context| {
            let settled = Node::start(&context, config("s")).await;
            for height in 1..=EPOCH_HEIGHTS {
                settled.settle(revealed(height, Vec::new())).await;
            }
            let outcome = settled.mailbox.outcome(Height(EPOCH_HEIGHTS)).await.unwrap();
            let attestation = attestation(EPOCH_HEIGHTS, &outcome);
            let closing = Closing { outcome, attestation: attestation.clone() };

            let opened = Keeper::open(context.child("keeper"), "k", 100, Height(0)).await;
            let (keeper, mailbox, verified) = opened.unwrap();
            let running = context.child("run").spawn(move |_| keeper.run());
            verified.keep(attestation.clone(), Some(closing.clone())).await.unwrap();
            assert_eq!(*mailbox.attested().borrow(), Height(0), "it is not settled yet");
            verified.announce(attestation.clone()).await.unwrap();
            mailbox.attested().wait_for(|attested| attested.0 == EPOCH_HEIGHTS).await.unwrap();
            running.abort();
            let _ = running.await;

            let opened = Keeper::open(context.child("again"), "k", 100, Height(EPOCH_HEIGHTS)).await;
            let (keeper, ..) = opened.unwrap();
            assert_eq!(keeper.get(Height(EPOCH_HEIGHTS)).await.unwrap(), Some(attestation));
            assert_eq!(keeper.closings().await.unwrap(), [closing]);
            assert!(keeper.get(Height(1)).await.unwrap().is_none());
        });
    }
}
