//! Provable faults: two signed objects that no honest validator signs both.

use crate::{
    Claim, Epoch, EpochInfo, Rank, RankKind, Scheme, Signatories, Signature, Statement, ValidatorIndex,
    codec::{Buf, EncodeSize, Error, Read, ReadExt, Write},
    codec_struct,
};
use chorale_foundation::BufMut;

/// Two statements of one validator in one epoch that contradict each other, with its signatures.
///
/// Whoever checks it needs nothing but the epoch's validators: both signatures hold and [`Evidence::fault`] names the
/// contradiction. An honest validator never signs such a pair, so it can never be framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The epoch of both.
    pub epoch: Epoch,
    /// Who signed both.
    pub offender: ValidatorIndex,
    /// One statement.
    pub first: Statement,
    /// Its signature.
    pub first_signature: Signature,
    /// The other statement.
    pub second: Statement,
    /// Its signature.
    pub second_signature: Signature,
}
codec_struct!(Evidence { epoch, offender, first, first_signature, second, second_signature });

/// What two statements prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Two headers of one view by its leader.
    DoubleHeader,
    /// Two proposals of one view by its leader.
    DoubleProposal,
    /// Two votes in one view.
    DoubleVote,
    /// Two timeouts of one view with different ranks.
    DoubleTimeout,
    /// A vote of view v for a header of v, and a timeout of v whose rank has an older view: it hid what it voted for.
    HiddenVote,
    /// A commit vote for v, and a timeout of v, or of a later view with a rank below the certificate of v.
    HiddenCommit,
    /// Two roots for one height of one domain.
    DoubleOutcome,
}

impl Evidence {
    /// What contradicts what; `None` if nothing does. Says nothing about the signatures.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        contradiction(&self.first, &self.second).or_else(|| contradiction(&self.second, &self.first))
    }

    /// What it proves of its offender, whose signatures both are; `None` if it proves nothing. `info`: its epoch.
    #[must_use]
    pub fn proves<S: Scheme>(&self, scheme: &S, info: &EpochInfo) -> Option<Fault> {
        let fault = self.fault().filter(|_| self.epoch == info.epoch)?;
        let claims = [(self.first, &self.first_signature), (self.second, &self.second_signature)]
            .map(|(statement, signature)| Claim { signatories: Signatories::One(self.offender), statement, signature });
        scheme.verify(info.chain, info.epoch, &info.validators, &claims).then_some(fault)
    }
}

fn contradiction(first: &Statement, second: &Statement) -> Option<Fault> {
    use Statement as S;
    match (first, second) {
        (S::Tip { view: a, id: one }, S::Tip { view: b, id: other }) => {
            (a == b && one != other).then_some(Fault::DoubleHeader)
        }
        // A leader that has a header to propose again has none of its own to propose.
        (S::Tip { view: a, .. }, S::Reproposal { view: b, .. }) => (a == b).then_some(Fault::DoubleProposal),
        (S::Reproposal { view: a, .. }, S::Reproposal { view: b, .. }) => {
            (a == b && first != second).then_some(Fault::DoubleProposal)
        }
        (S::Vote { view: a, block: one }, S::Vote { view: b, block: other }) => {
            (a == b && one != other).then_some(Fault::DoubleVote)
        }
        (S::Timeout { view: a, rank: one }, S::Timeout { view: b, rank: other }) => {
            (a == b && one != other).then_some(Fault::DoubleTimeout)
        }
        (S::Vote { view, block }, S::Timeout { view: given_up, rank }) => {
            (view == given_up && block.view == *view && rank.view < *view).then_some(Fault::HiddenVote)
        }
        (S::CommitVote { view, .. }, S::Timeout { view: given_up, rank }) => {
            let certificate = Rank { view: *view, kind: RankKind::Certified, parent: crate::View(0) };
            (given_up == view || (given_up > view && *rank < certificate)).then_some(Fault::HiddenCommit)
        }
        (S::Outcome { domain: a, height: g, root: one }, S::Outcome { domain: b, height: h, root: other }) => {
            (a == b && g == h && one != other).then_some(Fault::DoubleOutcome)
        }
        _ => None,
    }
}

impl Write for Statement {
    fn write(&self, buf: &mut impl BufMut) {
        self.kind().write(buf);
        self.write_fields(buf);
    }
}

impl EncodeSize for Statement {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Tip { .. } => 8 + 32,
            Self::Reproposal { .. } => 8 + 32 + 32,
            Self::Vote { block, .. } | Self::CommitVote { block, .. } => 8 + block.encode_size(),
            Self::Timeout { rank, .. } => 8 + rank.encode_size(),
            Self::Acknowledgement(acknowledged) => acknowledged.encode_size(),
            Self::Outcome { .. } => 8 + 8 + 32,
        }
    }
}

impl Read for Statement {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        Ok(match u8::read(buf)? {
            0 => Self::Tip { view: ReadExt::read(buf)?, id: ReadExt::read(buf)? },
            1 => Self::Reproposal { view: ReadExt::read(buf)?, id: ReadExt::read(buf)?, timeout: ReadExt::read(buf)? },
            2 => Self::Vote { view: ReadExt::read(buf)?, block: ReadExt::read(buf)? },
            3 => Self::CommitVote { view: ReadExt::read(buf)?, block: ReadExt::read(buf)? },
            4 => Self::Timeout { view: ReadExt::read(buf)?, rank: ReadExt::read(buf)? },
            5 => Self::Acknowledgement(ReadExt::read(buf)?),
            6 => Self::Outcome { domain: ReadExt::read(buf)?, height: ReadExt::read(buf)?, root: ReadExt::read(buf)? },
            tag => return Err(Error::InvalidEnum(tag)),
        })
    }
}
