//! Payload certificates for headers to reference: real in form and signed by a quorum, of payloads that do not exist.

use crate::{epochs, random::Random};
use chorale_types::{
    Acknowledged, AvailabilityCertificate, Commitment, EpochInfo, Scheme, Signers, Statement, ValidatorIndex, View,
    codec::List, limits::HEADER_PAYLOADS_MAX, tagged_hash,
};

/// Views after which a certificate may not be referenced any more.
const EXPIRY_VIEWS: u64 = 20;

/// Up to as many certificates as a header holds.
pub(crate) fn payloads(
    info: &EpochInfo,
    view: View,
    random: &mut Random,
) -> List<AvailabilityCertificate, HEADER_PAYLOADS_MAX> {
    let count = random.index(HEADER_PAYLOADS_MAX + 1);
    list((0..count).filter_map(|_| certificate(info, view, random)).collect())
}

/// Nothing to order.
pub(crate) fn nothing() -> List<AvailabilityCertificate, HEADER_PAYLOADS_MAX> {
    list(Vec::new())
}

fn list(certificates: Vec<AvailabilityCertificate>) -> List<AvailabilityCertificate, HEADER_PAYLOADS_MAX> {
    List::new(certificates).expect("no more are made than a header holds")
}

fn certificate(info: &EpochInfo, view: View, random: &mut Random) -> Option<AvailabilityCertificate> {
    let number = random.number().to_be_bytes();
    let builder = info.validators.get(info.leader(view))?.builder();
    let acknowledged = Acknowledged {
        builder,
        commitment: Commitment(tagged_hash("chorale/sim/commitment/v1", &[&number])),
        length: u32::try_from(random.between(1, 1_000_000)).unwrap_or(1),
        manifest: tagged_hash("chorale/sim/manifest/v1", &[&number]),
        expiry: View(view.0 + EXPIRY_VIEWS),
    };
    let statement = Statement::Acknowledgement(acknowledged);
    let mut members: Vec<ValidatorIndex> = info.validators.indices().collect();
    random.shuffle(&mut members);
    let mut signers = Signers::none(info.validators.len());
    let mut signatures = Vec::new();
    for member in members {
        if info.validators.is_quorum(&signers) {
            break;
        }
        signers.insert(member);
        signatures.push(epochs::scheme(member.as_usize()).sign(info.chain, info.epoch, &statement));
    }
    let signature = epochs::scheme(0).aggregate(&signatures)?;
    Some(AvailabilityCertificate { acknowledged, signers, signature })
}
