//! Leading a view: what to propose, and when.

use crate::{Core, Output, To, mutation::Mutation, timer::after, vote::reference};
use chorale_types::{
    AvailabilityCertificate, BlockId, Entry, Header, High, Message, Proposal, QuorumCertificate, Reproposal, Scheme,
    Statement, TimeoutCertificate, TimestampMs, Tip, View,
    codec::{List, Shared},
    limits::HEADER_PAYLOADS_MAX,
};

/// What a header orders.
pub(crate) type Payloads = List<AvailabilityCertificate, HEADER_PAYLOADS_MAX>;

/// How far the leader of a view is with its proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not this node's turn, or done.
    Off,
    /// Waits so that blocks do not follow each other too fast.
    Pacing(TimestampMs),
    /// Has asked what to propose.
    Asked,
    /// Has nothing to propose, and holds that back.
    Held(TimestampMs),
}

impl Stage {
    pub(crate) const fn deadline(self) -> Option<TimestampMs> {
        match self {
            Self::Pacing(at) | Self::Held(at) => Some(at),
            Self::Off | Self::Asked => None,
        }
    }
}

impl<S: Scheme> Core<S> {
    /// Starts to propose, if it is this node's turn.
    pub(crate) fn lead(&mut self) {
        self.stage = Stage::Off;
        let view = self.record.view;
        let Some(index) = self.signer() else { return };
        let proposed = self.record.proposal.as_ref().is_some_and(|proposal| proposal.view() >= view);
        let given_up = self.record.timeout.as_ref().is_some_and(|timeout| timeout.view >= view);
        if self.rules.leader(view) != index || proposed || given_up {
            return;
        }
        if let Some(Entry::TimedOut(certificate)) = &self.record.entry
            && matches!(certificate.high, High::Voted(_))
            && !self.has(Mutation::NoReproposal)
        {
            let certificate = certificate.clone();
            return self.propose_again(certificate);
        }
        let parent = self.parent().block;
        if parent.height >= self.rules.info.closing {
            return self.propose(Payloads::default());
        }
        // The parent's timestamp is a claim, so it holds nobody up for longer than the pace.
        let pace_ms = self.pace_ms(&parent.id);
        let paced = self.tree.header(&parent.id).map_or(self.now, |header| after(header.timestamp, pace_ms));
        let at = paced.min(after(self.now, pace_ms));
        self.stage = Stage::Pacing(at);
        if at <= self.now {
            self.ask();
        }
    }

    /// The least time after a block before the next one.
    fn pace_ms(&self, parent: &BlockId) -> u64 {
        let payloads = self.tree.header(parent).map(|header| &header.payloads);
        let bytes: u64 =
            payloads.into_iter().flat_map(|it| it.iter()).map(|it| u64::from(it.acknowledged.length)).sum();
        let more_ms = bytes.checked_div(self.parameters.pace_bytes_per_ms).unwrap_or(0);
        self.parameters.pace_ms.saturating_add(more_ms.min(self.parameters.payload_pace_ms_max()))
    }

    /// The certificate that a fresh header of this view extends.
    fn parent(&self) -> &QuorumCertificate {
        match &self.record.entry {
            None => &self.rules.start,
            Some(Entry::Certified(certificate)) => certificate,
            Some(Entry::TimedOut(certificate)) => match &certificate.high {
                High::Certified(certificate) => certificate,
                High::Voted(tip) => &tip.header.parent,
            },
        }
    }

    fn ask(&mut self) {
        self.stage = Stage::Asked;
        let parent = self.parent().block;
        self.out.push(Output::WantContent { view: self.record.view, parent, height: parent.height.next() });
    }

    /// What is due in time.
    pub(crate) fn tick_lead(&mut self) {
        match self.stage {
            Stage::Pacing(at) if at <= self.now => self.ask(),
            Stage::Held(at) if at <= self.now => self.propose(Payloads::default()),
            _ => {}
        }
    }

    pub(crate) fn on_content(&mut self, view: View, payloads: Payloads) {
        if view != self.record.view || !matches!(self.stage, Stage::Asked | Stage::Held(_)) {
            return;
        }
        let payloads = self.admissible(payloads);
        if payloads.is_empty() && self.is_quiet() {
            if self.stage == Stage::Asked {
                self.hold();
            }
            return;
        }
        self.propose(payloads);
    }

    /// Holds an empty proposal back. The entry certificate goes out at once, so that the others enter the view.
    fn hold(&mut self) {
        self.stage = Stage::Held(after(self.now, self.parameters.idle_interval_ms));
        if let Some(entry) = self.record.entry.clone() {
            self.send(To::All, Message::Entry(entry));
        }
    }

    pub(crate) fn on_nudge(&mut self, view: View) {
        if view == self.record.view {
            self.release();
        }
    }

    /// Somebody has something to order: an empty proposal is held back no longer.
    pub(crate) fn release(&mut self) {
        if matches!(self.stage, Stage::Held(_)) {
            self.propose(Payloads::default());
        }
    }

    /// What of the content may be in this node's header; the proposer has checked it, so nothing should be missing.
    fn admissible(&self, payloads: Payloads) -> Payloads {
        let Some(index) = self.index else { return Payloads::default() };
        let mut admitted: Vec<AvailabilityCertificate> = Vec::with_capacity(payloads.len());
        for payload in payloads.into_vec() {
            let repeated = admitted.iter().any(|other| other.commitment() == payload.commitment());
            if !repeated && self.rules.admits(&payload, self.record.view, index) {
                admitted.push(payload);
            }
        }
        List::new(admitted).unwrap_or_default()
    }

    fn propose(&mut self, payloads: Payloads) {
        let Some(author) = self.signer() else { return };
        self.stage = Stage::Off;
        let view = self.record.view;
        let parent = self.parent().clone();
        let entry = match &self.record.entry {
            Some(Entry::TimedOut(certificate)) => Some(certificate.quorum.clone()),
            _ => None,
        };
        let header = Header {
            chain: self.rules.info.chain,
            epoch: self.rules.info.epoch,
            view,
            height: parent.block.height.next(),
            parent,
            timestamp: self.now,
            payloads,
            author,
        };
        let id = header.id();
        let signature = self.sign(&Statement::Tip { view, id });
        let tip = Tip { header: Shared::new(header), entry, signature };
        self.verified.add_tip(id, &tip);
        self.watch_leader(view, (Statement::Tip { view, id }, signature));
        self.record.proposal = Some(Proposal::Fresh(tip.clone()));
        self.dirty = true;
        self.persist_header(id, &tip.header);
        self.signed.push((To::All, Message::Proposal(Proposal::Fresh(tip.clone()))));
        self.out.push(Output::Proposed(Box::new(tip.clone())));
        debug_assert_eq!(reference(id, &tip.header), tip.header.reference());
        self.vote(id, &tip);
    }

    /// Proposes the header again that is the best of the timeouts, so that the leader who made it does not lose it.
    fn propose_again(&mut self, timeout: TimeoutCertificate) {
        let High::Voted(tip) = &timeout.high else { return };
        let tip = tip.clone();
        let view = self.record.view;
        let id = self.verified.tip(&tip).unwrap_or_else(|| tip.header.id());
        let statement = Statement::Reproposal { view, id, timeout: timeout.digest() };
        let signature = self.sign(&statement);
        self.watch_leader(view, (statement, signature));
        let proposal = Proposal::Again(Reproposal { timeout, signature });
        self.record.proposal = Some(proposal.clone());
        self.dirty = true;
        self.signed.push((To::All, Message::Proposal(proposal)));
        self.vote(id, &tip);
    }
}
