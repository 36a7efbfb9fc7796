//! One value of every type with a wire or disk format, no two fields of it alike.

use crate::codec::{Blob, Encode, Error, List, Read, decode};
use crate::*;
use chorale_foundation::Bytes;

/// A value's bytes, and what becomes of bytes that are decoded as its type and encoded again.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) bytes: Bytes,
    pub(super) recode: fn(Bytes) -> Result<Bytes, Error>,
}

fn recode<T: Read<Cfg = ()> + Encode>(bytes: Bytes) -> Result<Bytes, Error> {
    decode::<T>(bytes).map(|value| value.encode())
}

fn sample<T: Read<Cfg = ()> + Encode>(name: &'static str, value: &T) -> Sample {
    Sample { name, bytes: value.encode(), recode: recode::<T> }
}

pub(super) fn digest(name: &str) -> Digest {
    tagged_hash("test", &[name.as_bytes()])
}

pub(super) fn chain() -> ChainId {
    ChainId(digest("chain"))
}

pub(super) fn secret(index: u8) -> ConsensusSecret {
    ConsensusSecret::from_seed([index + 1; 32])
}

/// Validators with the given weights; `secret(i)` signs for validator `i`.
pub(super) fn validators(weights: &[u16]) -> ValidatorSet {
    let validator = |(index, weight): (u8, &u16)| Validator::new(NodeKey([index; 32]), secret(index).public(), *weight);
    ValidatorSet::new((0..).zip(weights).map(validator).collect()).unwrap()
}

pub(super) fn epoch_info(weights: &[u16]) -> EpochInfo {
    EpochInfo {
        chain: chain(),
        epoch: Epoch(0),
        validators: validators(weights),
        start: EpochInfo::start_block(Height(0), BlockId(digest("genesis"))),
        closing: Height(1_000),
    }
}

fn signature(byte: u8) -> Signature {
    Signature([byte; Signature::BYTES])
}

pub(super) fn reference(name: &str) -> BlockReference {
    BlockReference { view: View(7), parent: View(6), height: Height(5), id: BlockId(digest(name)) }
}

fn certificate(byte: u8) -> QuorumCertificate {
    let signers = Signers::of(9, [ValidatorIndex(0), ValidatorIndex(8)]);
    QuorumCertificate { epoch: Epoch(3), view: View(8), block: reference("block"), signers, signature: signature(byte) }
}

pub(super) fn acknowledged() -> Acknowledged {
    Acknowledged {
        builder: BuilderId(digest("builder")),
        commitment: Commitment(digest("commitment")),
        length: 1_000,
        manifest: digest("manifest"),
        expiry: View(40),
    }
}

pub(super) fn header() -> Header {
    let availability = AvailabilityCertificate {
        acknowledged: acknowledged(),
        signers: Signers::of(9, (1..8).map(ValidatorIndex)),
        signature: signature(9),
    };
    Header {
        chain: chain(),
        epoch: Epoch(3),
        view: View(9),
        height: Height(6),
        parent: certificate(1),
        timestamp: TimestampMs(1_700_000_000_123),
        payloads: List::new(vec![availability]).unwrap(),
        author: ValidatorIndex(2),
    }
}

fn rank(kind: RankKind) -> Rank {
    Rank { view: View(8), kind, parent: View(if kind == RankKind::Voted { 6 } else { 0 }) }
}

fn quorum() -> TimeoutQuorum {
    let group = |rank, index, byte| TimeoutGroup {
        rank,
        signers: Signers::of(9, [ValidatorIndex(index)]),
        signature: signature(byte),
    };
    let groups = vec![group(rank(RankKind::Certified), 3, 2), group(rank(RankKind::Voted), 4, 3)];
    TimeoutQuorum { epoch: Epoch(3), view: View(10), groups: List::new(groups).unwrap() }
}

fn tip() -> Tip {
    Tip { header: header().into(), entry: Some(quorum()), signature: signature(4) }
}

fn timeout_certificate(high: High) -> TimeoutCertificate {
    TimeoutCertificate { quorum: quorum(), high }
}

pub(super) fn transaction(rollup: u64, data: &[u8]) -> Transaction {
    Transaction { rollup: RollupId(rollup), data: Blob::new(data.to_vec()).unwrap() }
}

pub(super) fn bundle(salt: u64, legs: Vec<Transaction>) -> Bundle {
    Bundle { promise: Promise::Inclusion, legs: List::new(legs).unwrap(), expiry: Height(99), salt }
}

/// The payer's key is that of the development account 0 of Ethereum's tools, and its signature was made by `cast wallet
/// sign`.
pub(super) fn paid() -> PaidExecution {
    let payer = AccountId(hex::decode("f39fd6e51aad88f6f4ce6ab8827279cfffb92266").unwrap().try_into().unwrap());
    let execution = Execution { domain: DomainId(7), payer, max_fee: 1_000_000, attempt: 2 };
    PaidExecution { execution, signature: AccountSignature([9; 65]) }
}

/// A bundle that is promised to execute as a whole; nobody has signed for it.
pub(super) fn executed_bundle() -> Bundle {
    let legs = vec![transaction(7, b"leg 0"), transaction(3, b"leg 1")];
    Bundle { promise: Promise::Execution(paid()), ..bundle(5, legs) }
}

/// Two single transactions around a bundle that visits a rollup twice.
pub(super) fn units() -> Vec<Unit> {
    let legs = vec![transaction(7, b"leg 0"), transaction(3, b"leg 1"), transaction(7, b"leg 2")];
    vec![
        Unit::Transaction(transaction(7, b"first")),
        Unit::Bundle(bundle(5, legs)),
        Unit::Transaction(transaction(3, b"last")),
    ]
}

pub(super) fn built() -> (Payload, Manifest, Bytes) {
    Payload::build(units().into_iter().map(PayloadUnit::new).collect(), [6; 32]).unwrap()
}

/// The lanes of [`units`], as the first payload of a height.
pub(super) fn lanes() -> Vec<Lane> {
    let (payload, ..) = built();
    let mut items: std::collections::BTreeMap<RollupId, Vec<LaneItem>> = std::collections::BTreeMap::new();
    for (unit, placed) in (0u32..).zip(payload.units()) {
        let bundle = match placed {
            PayloadUnit::Bundle { id, .. } => Some(*id),
            PayloadUnit::Transaction { .. } => None,
        };
        let parts = placed.transactions().iter().zip(placed.transaction_ids());
        for (position, (transaction, id)) in (0u8..).zip(parts) {
            let place = Place { payload: 0, unit, leg: bundle.map(|bundle| Leg { position, bundle }) };
            let item = LaneItem { place, id: *id, data: transaction.data.clone() };
            items.entry(transaction.rollup).or_default().push(item);
        }
    }
    items.into_iter().map(|(rollup, items)| Lane::new(rollup, items).unwrap()).collect()
}

pub(super) fn ordered_bundle() -> OrderedBundle {
    let units = units();
    let Unit::Bundle(bundle) = &units[1] else { unreachable!() };
    let legs = bundle.legs.iter().map(|leg| OrderedLeg { rollup: leg.rollup, id: leg.id() }).collect();
    OrderedBundle {
        id: bundle.id(),
        atomicity: bundle.promise.atomicity(),
        expiry: bundle.expiry,
        salt: bundle.salt,
        legs: List::new(legs).unwrap(),
    }
}

pub(super) fn outcome(lanes: &LaneTree, registry: &RegistryTree) -> Outcome {
    Outcome {
        chain: chain(),
        epoch: Epoch(0),
        height: Height(6),
        header: BlockId(digest("header")),
        timestamp: TimestampMs(1_700_000_000_456),
        payloads: List::new(vec![PayloadStatus::Opened, PayloadStatus::Malformed]).unwrap(),
        lanes: lanes.root(),
        registry: registry.root(),
        ledger: digest("ledger"),
        next_validators: Some(digest("next")),
    }
}

pub(super) fn heads() -> Vec<RollupHead> {
    let head = |rollup: u64| {
        let (block, state) = (digest(&format!("block {rollup}")), digest(&format!("state {rollup}")));
        RollupHead { rollup: RollupId(rollup), number: 100 + rollup, block, state }
    };
    [3, 5, 7].map(head).to_vec()
}

/// One of every effect.
pub(super) fn executed_bundles() -> Vec<ExecutedBundle> {
    let effects = [
        BundleEffect::Committed,
        BundleEffect::Aborted { leg: Some(2), reason: 7, burns: true },
        BundleEffect::Aborted { leg: None, reason: 4, burns: false },
        BundleEffect::Unplaced,
    ];
    let bundle = |(index, effect)| ExecutedBundle { id: BundleId(digest(&format!("bundle {index}"))), effect };
    effects.into_iter().enumerate().map(bundle).collect()
}

pub(super) fn execution_outcome() -> ExecutionOutcome {
    ExecutionOutcome {
        chain: chain(),
        domain: DomainId(7),
        height: Height(6),
        previous: Height(4),
        order: digest("order"),
        rollups: ExecutionOutcome::rollups_root(&heads()),
        bundles: ExecutionOutcome::bundles_root(&executed_bundles()),
        burnt: digest("burnt"),
    }
}

/// The trees of [`lanes`].
pub(super) fn trees() -> (LaneTree, RegistryTree) {
    let leaves = lanes().iter().map(|lane| lane.leaf(Height(4))).collect();
    let rows = [1, 3, 7].map(|rollup| RegistryLeaf { rollup: RollupId(rollup), last: Height(rollup % 6) });
    (LaneTree::new(leaves), RegistryTree::new(rows.to_vec()))
}

/// One of every kind of statement.
pub(super) fn statements() -> Vec<(&'static str, Statement)> {
    let (view, id, block) = (View(9), BlockId(digest("block")), reference("block"));
    vec![
        ("statement/tip", Statement::Tip { view, id }),
        ("statement/reproposal", Statement::Reproposal { view, id, timeout: digest("timeout") }),
        ("statement/vote", Statement::Vote { view, block }),
        ("statement/commit-vote", Statement::CommitVote { view, block }),
        ("statement/timeout", Statement::Timeout { view, rank: rank(RankKind::Voted) }),
        ("statement/acknowledgement", Statement::Acknowledgement(acknowledged())),
        (
            "statement/outcome",
            Statement::Outcome { domain: DomainId::ORDERING, height: Height(6), root: digest("root") },
        ),
    ]
}

/// Everything.
pub(super) fn samples() -> Vec<Sample> {
    let mut all = consensus();
    all.extend(content());
    all.extend(proofs());
    all.extend(execution());
    all.extend(statements().iter().map(|(name, statement)| sample(name, statement)));
    all
}

fn consensus() -> Vec<Sample> {
    let (epoch, view, block, author) = (Epoch(3), View(9), reference("block"), ValidatorIndex(2));
    let vote = Vote { epoch, view, block, author, signature: signature(5) };
    let commit_vote = CommitVote { epoch, view, block, author, signature: signature(6) };
    let again = timeout_certificate(High::Voted(tip()));
    let timeout = Timeout {
        epoch,
        view,
        high: High::Voted(tip()),
        author,
        signature: signature(7),
        entry: Some(Entry::TimedOut(timeout_certificate(High::Certified(certificate(1))))),
    };
    let pair = CommitProof::Pair(CommitPair { block: certificate(1), child: certificate(2) });
    let direct = CommitCertificate { epoch, view, block, signers: Signers::of(1, []), signature: signature(8) };
    let [first, second] = [digest("one"), digest("two")].map(|root| Statement::Outcome {
        domain: DomainId::ORDERING,
        height: Height(6),
        root,
    });
    vec![
        sample("header", &header()),
        sample("quorum-certificate", &certificate(1)),
        sample("timeout-certificate/certified", &timeout_certificate(High::Certified(certificate(1)))),
        sample("timeout-certificate/voted", &again),
        sample("message/proposal-fresh", &Message::Proposal(Proposal::Fresh(tip()))),
        sample(
            "message/proposal-again",
            &Message::Proposal(Proposal::Again(Reproposal { timeout: again.clone(), signature: signature(7) })),
        ),
        sample("message/vote", &Message::Vote(vote)),
        sample("message/commit-vote", &Message::CommitVote(commit_vote)),
        sample("message/timeout", &Message::Timeout(timeout)),
        sample("message/entry-certified", &Message::Entry(Entry::Certified(certificate(1)))),
        sample("message/commit-pair", &Message::Commit(pair)),
        sample("message/commit-direct", &Message::Commit(CommitProof::Direct(direct))),
        sample("message/nudge", &Message::Nudge(Nudge { epoch, view })),
        sample(
            "evidence",
            &Evidence {
                epoch,
                offender: author,
                first,
                first_signature: signature(1),
                second,
                second_signature: signature(2),
            },
        ),
        sample("validator-set", &validators(&[1, 2, 3])),
    ]
}

fn content() -> Vec<Sample> {
    let (_, manifest, _) = built();
    let units = units();
    vec![
        sample("unit/transaction", &units[0]),
        sample("unit/bundle", &units[1]),
        sample("unit/bundle-executed", &Unit::Bundle(executed_bundle())),
        sample("unit-id/transaction", &units[0].id()),
        sample("unit-id/bundle", &units[1].id()),
        sample("manifest", &manifest),
        sample("lane", &lanes()[1]),
        sample("ordered-bundle", &ordered_bundle()),
    ]
}

fn execution() -> Vec<Sample> {
    let names = [
        "executed-bundle/committed",
        "executed-bundle/aborted-by-leg",
        "executed-bundle/aborted",
        "executed-bundle/unplaced",
    ];
    let mut all: Vec<Sample> = names.iter().zip(executed_bundles()).map(|(name, it)| sample(name, &it)).collect();
    all.push(sample("rollup-head", &heads()[0]));
    all.push(sample("execution-outcome", &execution_outcome()));
    let executed = executed_height();
    all.push(sample("executed-height", &executed));
    all.push(sample("proof/bundle-effect", &executed.prove_bundle(executed.bundles[1].id).unwrap()));
    all.push(sample("proof/rollup-head", &executed.prove_head(executed.heads[0].rollup).unwrap()));
    all.push(sample("system-item/attestation", &SystemItem::Attestation(attestation())));
    let signature = AccountSignature([3; AccountSignature::BYTES]);
    let resume = Resume { rollup: RollupId(7), since: Height(6), salt: 5, signature };
    all.push(sample("system-item/resume", &SystemItem::Resume(resume)));
    all
}

pub(super) fn executed_height() -> ExecutedHeight {
    ExecutedHeight {
        outcome: execution_outcome(),
        heads: List::new(heads().to_vec()).unwrap(),
        bundles: List::new(executed_bundles().to_vec()).unwrap(),
    }
}

fn attestation() -> Attestation {
    let (epoch, height, root) = (Epoch(3), Height(6), digest("root"));
    let signers = Signers::of(9, [ValidatorIndex(0), ValidatorIndex(8)]);
    Attestation { domain: DomainId(7), epoch, height, root, signers, signature: signature(2) }
}

fn proofs() -> Vec<Sample> {
    let (tree, registry) = trees();
    let lanes = lanes();
    let by_rollup = lanes.iter().map(|lane| (lane.rollup(), lane.clone())).collect();
    let (epoch, height, root) = (Epoch(3), Height(6), digest("root"));
    let vote = OutcomeVote {
        domain: DomainId::ORDERING,
        epoch,
        height,
        root,
        author: ValidatorIndex(2),
        signature: signature(1),
    };
    let first = transaction(7, b"first").id();
    vec![
        sample("outcome", &outcome(&tree, &registry)),
        sample("outcome-vote", &vote),
        sample("attestation", &attestation()),
        sample("proof/lane", &tree.prove(RollupId(7)).unwrap()),
        sample("proof/absence", &tree.prove_absence(RollupId(5)).unwrap()),
        sample("proof/registry", &registry.prove(RollupId(3)).unwrap()),
        sample("proof/transaction", &prove_transaction(&tree, &lanes[1], &first).unwrap()),
        sample("proof/bundle", &prove_bundle(&tree, &by_rollup, &ordered_bundle()).unwrap()),
    ]
}
