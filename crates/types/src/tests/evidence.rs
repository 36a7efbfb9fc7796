//! Evidence: what contradicts what, and what an honest validator may well sign.

use super::samples::{digest, reference};
use crate::*;

fn fault(first: Statement, second: Statement) -> Option<Fault> {
    let evidence = |first, second| Evidence {
        epoch: Epoch(0),
        offender: ValidatorIndex(0),
        first,
        first_signature: Signature::NONE,
        second,
        second_signature: Signature::NONE,
    };
    let fault = evidence(first, second).fault();
    assert_eq!(fault, evidence(second, first).fault(), "the order of the two must not matter");
    fault
}

fn id(name: &str) -> BlockId {
    BlockId(digest(name))
}

fn vote(view: u64, of: u64, name: &str) -> Statement {
    let block = BlockReference { view: View(of), ..reference(name) };
    Statement::Vote { view: View(view), block }
}

fn timeout(view: u64, rank: u64, kind: RankKind) -> Statement {
    Statement::Timeout { view: View(view), rank: Rank { view: View(rank), kind, parent: View(0) } }
}

#[test]
fn contradictions_are_faults() {
    let tip = |name| Statement::Tip { view: View(9), id: id(name) };
    let again = |name| Statement::Reproposal { view: View(9), id: id(name), timeout: digest("timeout") };
    let outcome = |name| Statement::Outcome { domain: DomainId::ORDERING, height: Height(6), root: digest(name) };
    let commit = Statement::CommitVote { view: View(9), block: reference("a") };
    use RankKind::{Certified, Voted};
    assert_eq!(fault(tip("a"), tip("b")), Some(Fault::DoubleHeader));
    assert_eq!(fault(tip("a"), again("b")), Some(Fault::DoubleProposal));
    assert_eq!(fault(again("a"), again("b")), Some(Fault::DoubleProposal));
    assert_eq!(fault(vote(9, 9, "a"), vote(9, 9, "b")), Some(Fault::DoubleVote));
    assert_eq!(fault(timeout(9, 8, Certified), timeout(9, 7, Certified)), Some(Fault::DoubleTimeout));
    assert_eq!(fault(vote(9, 9, "a"), timeout(9, 8, Certified)), Some(Fault::HiddenVote));
    assert_eq!(fault(commit, timeout(9, 9, Certified)), Some(Fault::HiddenCommit));
    assert_eq!(fault(commit, timeout(12, 9, Voted)), Some(Fault::HiddenCommit));
    assert_eq!(fault(outcome("a"), outcome("b")), Some(Fault::DoubleOutcome));
}

#[test]
fn what_honest_validators_sign_is_no_fault() {
    let outcome = |domain, height, name| Statement::Outcome {
        domain: DomainId(domain),
        height: Height(height),
        root: digest(name),
    };
    let commit = Statement::CommitVote { view: View(9), block: reference("a") };
    use RankKind::{Certified, Voted};
    let pairs = [
        (vote(9, 9, "a"), vote(9, 9, "a")),
        (vote(9, 9, "a"), vote(10, 9, "a")),
        (vote(9, 9, "a"), vote(10, 10, "b")),
        // A vote for a fresh header, and then a timeout that shows it.
        (vote(9, 9, "a"), timeout(9, 9, Voted)),
        // A vote on a reproposal, and a timeout that reports the header's own view.
        (vote(9, 7, "a"), timeout(9, 7, Voted)),
        (timeout(9, 8, Certified), timeout(9, 8, Certified)),
        (timeout(9, 8, Certified), timeout(10, 8, Certified)),
        // A timeout before the view of the commit vote, and a later one that shows the certificate.
        (commit, timeout(8, 7, Certified)),
        (commit, timeout(10, 9, Certified)),
        (commit, timeout(12, 10, Voted)),
        (commit, vote(9, 9, "a")),
        (Statement::Tip { view: View(9), id: id("a") }, Statement::Tip { view: View(10), id: id("b") }),
        (Statement::Tip { view: View(9), id: id("a") }, vote(9, 9, "b")),
        (outcome(0, 6, "a"), outcome(0, 7, "b")),
        (outcome(0, 6, "a"), outcome(1, 6, "b")),
        (outcome(0, 6, "a"), outcome(0, 6, "a")),
    ];
    for (first, second) in pairs {
        assert_eq!(fault(first, second), None, "{first:?} and {second:?}");
    }
}
