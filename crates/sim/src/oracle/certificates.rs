//! Certificates: one per view, a quorum behind each, and no honest signer who did not sign.

use super::{Broken, EpochState, Oracle, Rule, Verdict, ensure};
use chorale_types::{
    BlockReference, CommitProof, Entry, Header, High, Message, Proposal, QuorumCertificate, Signers,
    TimeoutCertificate, TimeoutQuorum, ValidatorIndex, View, codec::Shared,
};
use std::collections::BTreeMap;

/// The certificates that correct nodes have acted on.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// By view.
    quorum: BTreeMap<View, QuorumCertificate>,
}

impl Oracle {
    /// Judges all certificates in what a correct node sends.
    pub(super) fn check_certificates(&mut self, message: &Message) -> Verdict {
        match message {
            Message::Proposal(Proposal::Fresh(tip)) => {
                self.check_certificate(&tip.header.parent)?;
                tip.entry.as_ref().map_or(Ok(()), |quorum| self.check_timeout_quorum(quorum))
            }
            Message::Proposal(Proposal::Again(again)) => self.check_timeout_certificate(&again.timeout),
            Message::Timeout(timeout) => {
                self.check_high(&timeout.high)?;
                timeout.entry.as_ref().map_or(Ok(()), |entry| self.check_entry(entry))
            }
            Message::Entry(entry) => self.check_entry(entry),
            Message::Commit(CommitProof::Pair(pair)) => {
                self.check_certificate(&pair.block)?;
                self.check_certificate(&pair.child)
            }
            Message::Vote(_) | Message::CommitVote(_) | Message::Commit(CommitProof::Direct(_)) | Message::Nudge(_) => {
                Ok(())
            }
        }
    }

    fn check_entry(&mut self, entry: &Entry) -> Verdict {
        match entry {
            Entry::Certified(certificate) => self.check_certificate(certificate),
            Entry::TimedOut(certificate) => self.check_timeout_certificate(certificate),
        }
    }

    fn check_high(&mut self, high: &High) -> Verdict {
        match high {
            High::Certified(certificate) => self.check_certificate(certificate),
            High::Voted(tip) => self.check_certificate(&tip.header.parent),
        }
    }

    /// Judges a quorum certificate.
    pub(super) fn check_certificate(&mut self, certificate: &QuorumCertificate) -> Verdict {
        let state = state(&mut self.epochs, certificate.epoch)?;
        if certificate.view == View(0) {
            return ensure(*certificate == state.info.start_certificate(), Rule::GenuineCertificates, || {
                format!("a certificate of view 0 that is not the epoch's start: {certificate:?}")
            });
        }
        if let Some(known) = state.certificates.quorum.get(&certificate.view) {
            if known == certificate {
                return Ok(());
            }
            ensure(known.block == certificate.block, Rule::OneCertificatePerView, || {
                format!("view {} has certificates for {:?} and {:?}", certificate.view, known.block, certificate.block)
            })?;
        }
        let QuorumCertificate { view, block, signers, .. } = certificate;
        check_signers(state, &self.byzantine, signers, &format!("the certificate of {view}"), |state, by| {
            state.signing.voted(by, *view, block)
        })?;
        let state = self::state(&mut self.epochs, certificate.epoch)?;
        state.certificates.quorum.insert(*view, certificate.clone());
        Ok(())
    }

    fn check_timeout_certificate(&mut self, certificate: &TimeoutCertificate) -> Verdict {
        self.check_timeout_quorum(&certificate.quorum)?;
        self.check_high(&certificate.high)?;
        ensure(certificate.quorum.rank() == Some(certificate.high.rank()), Rule::GenuineCertificates, || {
            format!("the timeout certificate of {} has another high than it says", certificate.quorum.view)
        })?;
        self.check_on_chain(certificate)
    }

    fn check_timeout_quorum(&mut self, quorum: &TimeoutQuorum) -> Verdict {
        self.calm.timed_out(quorum.epoch, quorum.view);
        let state = state(&mut self.epochs, quorum.epoch)?;
        let mut all = Signers::none(state.info.validators.len());
        for group in quorum.groups.iter() {
            ensure(all.is_disjoint(&group.signers), Rule::GenuineCertificates, || {
                format!("somebody is counted twice in the timeouts of {}", quorum.view)
            })?;
            group.signers.iter().for_each(|by| all.insert(by));
            for by in group.signers.iter().filter(|by| !self.byzantine.contains(by)) {
                ensure(state.signing.timed_out(by, quorum.view, group.rank), Rule::GenuineCertificates, || {
                    format!("honest {by} never gave up {} with {:?}", quorum.view, group.rank)
                })?;
            }
        }
        ensure(state.info.validators.is_quorum(&all), Rule::GenuineCertificates, || {
            format!("the timeouts of {} are no quorum", quorum.view)
        })?;
        state.hiding.check_certificate(quorum)
    }

    /// Judges the proof of a commit.
    pub(super) fn check_proof(&mut self, node: usize, headers: &[Shared<Header>], proof: &CommitProof) -> Verdict {
        let last = headers.last().map(|header| header.reference());
        let closing = self.epochs.get(&proof.epoch()).map(|state| state.info.closing);
        let proven = last.is_some_and(|last| {
            // At the end of an epoch the proof may be of a descendant of the closing block.
            let above = Some(last.height) == closing && self.extends(&proof.block(), &last) != Some(false);
            last.id == proof.block().id || above
        });
        ensure(proven, Rule::ProvenCommits, || {
            format!("node {node} commits up to {last:?} with a proof for {:?}", proof.block())
        })?;
        match proof {
            CommitProof::Pair(pair) => {
                let (block, child) = (&pair.block, &pair.child);
                let consecutive = child.view == block.view.next() && child.block.parent == block.view;
                ensure(consecutive && block.epoch == child.epoch, Rule::ProvenCommits, || {
                    format!(
                        "node {node} commits with {} and {} on a child of {}, which prove nothing",
                        block.view, child.view, child.block.parent
                    )
                })?;
                self.check_certificate(block)?;
                self.check_certificate(child)?;
                state(&mut self.epochs, block.epoch)?.hiding.committed(child.view, block.block);
                Ok(())
            }
            CommitProof::Direct(certificate) => {
                let state = state(&mut self.epochs, certificate.epoch)?;
                let what = format!("the commit certificate of {}", certificate.view);
                check_signers(state, &self.byzantine, &certificate.signers, &what, |state, by| {
                    state.signing.commit_voted(by, certificate.view, &certificate.block)
                })
            }
        }
    }

    /// Whether a block is on top of another one, as far as headers are known.
    pub(super) fn extends(&self, block: &BlockReference, ancestor: &BlockReference) -> Option<bool> {
        let mut id = block.id;
        let mut height = block.height;
        while height > ancestor.height {
            let header = self.headers.get(&id)?;
            id = header.parent.block.id;
            height = header.parent.block.height;
        }
        Some(id == ancestor.id)
    }

    /// What a timeout certificate hands on is on top of everything that was committed in views up to its own.
    fn check_on_chain(&self, certificate: &TimeoutCertificate) -> Verdict {
        let high = match &certificate.high {
            High::Certified(quorum) => quorum.block,
            High::Voted(tip) => tip.header.reference(),
        };
        let epoch = certificate.quorum.epoch;
        let Some(state) = self.epochs.get(&epoch) else { return Ok(()) };
        let committed = state.hiding.committed_before(certificate.quorum.view);
        let kept = committed.is_none_or(|committed| self.extends(&high, &committed) != Some(false));
        ensure(kept, Rule::NothingHidden, || {
            format!(
                "the timeout certificate of {} hands on {high:?}, which is not on committed {committed:?}",
                certificate.quorum.view
            )
        })
    }
}

fn state(
    epochs: &mut BTreeMap<chorale_types::Epoch, EpochState>,
    epoch: chorale_types::Epoch,
) -> Result<&mut EpochState, Broken> {
    epochs.get_mut(&epoch).ok_or_else(|| Broken {
        rule: Rule::Epochs,
        what: format!("a correct node acts on {epoch:?}, which nobody started"),
    })
}

fn check_signers(
    state: &EpochState,
    byzantine: &std::collections::BTreeSet<ValidatorIndex>,
    signers: &Signers,
    what: &str,
    signed: impl Fn(&EpochState, ValidatorIndex) -> bool,
) -> Verdict {
    ensure(state.info.validators.is_quorum(signers), Rule::GenuineCertificates, || format!("{what} has no quorum"))?;
    for by in signers.iter().filter(|by| !byzantine.contains(by)) {
        ensure(signed(state, by), Rule::GenuineCertificates, || {
            format!("{what} names honest {by}, who never signed it")
        })?;
    }
    Ok(())
}
