//! From opened payloads to settlement, in the order of heights.

use super::{
    Revealed, RevealedPayload,
    actor::{Actor, Stopped},
};
use crate::{runtime::Context, store::KeptPayload};
use chorale_foundation::{cryptography::ed25519::PublicKey, p2p::Sender};
use chorale_types::{AvailabilityCertificate, Commitment, Header, Height, codec::Shared};
use futures::FutureExt;

/// Payloads of which it is remembered that they are done, so that chunks that come late are dropped at once.
const DONE_MAX: usize = 256;

impl<E, N> Actor<E, N>
where
    E: Context,
    N: Sender<PublicKey = PublicKey>,
{
    /// What was certified in a view before a committed header's, and is not committed, is lost.
    pub(super) fn forget_lost(&mut self, header: &Header) {
        let at = (header.epoch, header.view);
        self.collecting.retain(|_, it| it.height.is_some() || it.position > at);
        self.opened.retain(|_, it| it.archived || it.position > at);
    }

    /// Archives an opened payload, once it is ordered.
    pub(super) async fn store_opened(&mut self, commitment: Commitment, height: Option<Height>) -> Result<(), Stopped> {
        let (Some(height), Some(ready)) = (height, self.opened.get_mut(&commitment)) else { return Ok(()) };
        if ready.archived {
            return Ok(());
        }
        ready.archived = true;
        let RevealedPayload { certificate, manifest, opened } = &ready.payload;
        let kept = KeptPayload { manifest: (**manifest).clone(), opened: opened.clone() };
        let durable = self.payloads.put(height, &certificate.into(), &kept).await?;
        if kept.opened.is_err() {
            // Now, and not with the next payload that is archived: after a stop in between this node would let go of the
            // chunks, which are all that shows others that the payload is malformed. Durable first, as the height that
            // dispersal is told promises it of earlier ones. Those of the window that are not opened yet are too near to
            // lose their chunks.
            durable.await?;
            self.dispersal.archived(height, vec![commitment]).await;
            return Ok(());
        }
        let handed_on = self.handed_on;
        self.archiving.push(durable.map(move |done| done.map(|()| handed_on)).boxed());
        Ok(())
    }

    fn first_of_window(&self) -> Option<&Shared<Header>> {
        self.window.first_key_value().map(|(_, header)| header)
    }

    pub(super) fn is_ready(&self) -> bool {
        let opened = |certificate: &AvailabilityCertificate| {
            self.opened.get(&certificate.commitment()).is_some_and(|ready| ready.archived)
        };
        self.first_of_window().is_some_and(|header| header.payloads.iter().all(opened))
    }

    /// Takes the lowest height out of the window, with its content.
    pub(super) fn hand_on(&mut self) -> Option<Revealed> {
        let (height, header) = self.window.pop_first()?;
        let opened = |certificate: &AvailabilityCertificate| {
            let ready = self.opened.get(&certificate.commitment())?;
            // One payload may be ordered twice, by two certificates; the second is void, and still named.
            Some(RevealedPayload { certificate: certificate.clone(), ..ready.payload.clone() })
        };
        let payloads: Vec<RevealedPayload> = header.payloads.iter().filter_map(opened).collect();
        for payload in &payloads {
            let commitment = payload.certificate.commitment();
            let again = |header: &Shared<Header>| header.payloads.iter().any(|it| it.commitment() == commitment);
            if !self.window.values().any(again) {
                self.opened.remove(&commitment);
            }
            self.done.insert(commitment, height);
        }
        if self.done.len() > DONE_MAX {
            let oldest = Height(height.0.saturating_sub(DONE_MAX as u64 / 4));
            self.done.retain(|_, at| *at >= oldest);
        }
        self.handed_on = height;
        Some(Revealed { header, payloads })
    }

    /// Everything up to this height is durable here: the chunks may go.
    pub(super) async fn archived(&mut self, height: Height) -> Result<(), Stopped> {
        self.dispersal.archived(height, Vec::new()).await;
        let below = Height(height.0.saturating_sub(self.config.retention_heights));
        Ok(self.payloads.prune(below).await?)
    }
}
