//! What is submitted: signed, in the order in which each node gets it.

use super::{
    Domain,
    accounts::{Account, Signer},
    funding::{FEE_MAX, TIP},
};
use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, TxHash, TxKind, U256};
use anyhow::{Result, ensure};
use chorale_evm::{BoundLeg, Marker, Terms, binding};
use chorale_types::{
    AccountId, AccountSignature, Bundle, Execution, Height, PaidExecution, Promise, RollupId, Transaction, Unit,
    codec::{Blob, List},
    pay_message,
};
use std::{collections::VecDeque, thread};

/// Units of a run: about 0.5 KB of memory each.
const UNITS_MAX: u64 = 1_000_000;
/// A payment costs 21,000; a leg also what is in its access list.
const GAS: u64 = 21_000;
const LEG_GAS: u64 = 40_000;
/// Heights for which a bundle may be ordered: nearly as many as are allowed, as it is signed before anything is sent.
const LIFETIME_HEIGHTS: u64 = 16_000;

/// What to submit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Units, which are transactions and bundles.
    pub(crate) units: u64,
    /// So many of 100 units are bundles of two legs.
    pub(crate) bundles_percent: u64,
    /// Accounts of each rollup at most.
    pub(crate) accounts: u64,
    /// Random, so that no two runs use the same accounts.
    pub(crate) run: u64,
}

/// A unit, and the hashes of its transactions.
#[derive(Clone, Debug)]
pub(crate) struct SignedUnit {
    /// As it is submitted.
    pub(crate) unit: Unit,
    /// Each with the place of its rollup among those of the domain.
    pub(crate) hashes: Vec<(usize, TxHash)>,
}

/// All that is submitted.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// By node, in order.
    pub(crate) by_node: Vec<VecDeque<SignedUnit>>,
}

/// A transaction that is not signed yet.
#[derive(Clone, Copy, Debug)]
struct Draft {
    rollup: usize,
    account: usize,
    nonce: u64,
}

/// The accounts of one rollup, in parts of which each uses one node. Those that send legs of bundles send nothing else: of one
/// payload bundles execute first, and so would a later nonce.
#[derive(Clone, Debug)]
pub(crate) struct Purse {
    accounts: Vec<Account>,
    /// So many of them, the first ones, are for bundles.
    for_bundles: usize,
    /// By account.
    nonces: Vec<u64>,
    /// By node, of accounts for bundles and of the others: whose turn it is.
    turns: Vec<[usize; 2]>,
}

impl Purse {
    /// The accounts of a rollup.
    pub(crate) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    fn draft(&mut self, rollup: usize, node: usize, is_bundle: bool) -> Draft {
        let nodes = self.turns.len();
        let range = if is_bundle { 0..self.for_bundles } else { self.for_bundles..self.accounts.len() };
        let part = (range.len() - node).div_ceil(nodes);
        let turn = &mut self.turns[node][usize::from(is_bundle)];
        let account = range.start + *turn % part * nodes + node;
        *turn += 1;
        let nonce = self.nonces[account];
        self.nonces[account] += 1;
        Draft { rollup, account, nonce }
    }
}

impl Plan {
    /// The accounts that it takes, by rollup, for so many nodes.
    ///
    /// # Errors
    ///
    /// It is more than fits in memory, or than a domain can do.
    pub(crate) fn purses(&self, rollups: usize, nodes: usize) -> Result<Vec<Purse>> {
        let Self { units, bundles_percent, accounts, run } = *self;
        ensure!((1..=UNITS_MAX).contains(&units), "{units} transactions and bundles; a run has 1 to {UNITS_MAX}");
        ensure!(bundles_percent <= 100, "{bundles_percent} of 100 are bundles; at most 100 can be");
        ensure!(bundles_percent == 0 || rollups >= 2, "a bundle of two legs needs two rollups, and there is {rollups}");
        // With few units each account has one.
        let accounts = accounts.min(units);
        let legs_of_100 = 2 * bundles_percent;
        let for_bundles = (accounts * legs_of_100).div_ceil(100 + bundles_percent).max(nodes as u64);
        let count = for_bundles + accounts.saturating_sub(for_bundles).max(nodes as u64);
        let numbers: Vec<u64> = (0..count * rollups as u64).collect();
        let all = in_parallel(&numbers, |signer, number| signer.of_run(run, *number));
        let for_bundles = usize::try_from(for_bundles)?;
        let purse = |accounts: &[Account]| Purse {
            nonces: vec![0; accounts.len()],
            turns: vec![[0; 2]; nodes],
            accounts: accounts.to_vec(),
            for_bundles,
        };
        Ok(all.chunks(usize::try_from(count)?).map(purse).collect())
    }

    /// Wei that an account needs: the highest fee of everything that it may send.
    pub(crate) fn wei_per_account(&self, purse: &Purse) -> u128 {
        let each = self.units * 2 / purse.accounts.len() as u64 + 2;
        u128::from(each) * (u128::from(LEG_GAS) * FEE_MAX + 1)
    }

    /// Signs everything.
    pub(crate) fn sign(&self, domain: &Domain, mut purses: Vec<Purse>, nodes: usize) -> Prepared {
        let rollups = purses.len();
        // By node: how many payments and how many bundles there were.
        let mut counts = vec![[0; 2]; nodes];
        let draft = |number: u64| {
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            let (node, turn) = (index % nodes, number / nodes as u64);
            // So many of the hundred that go through each node, evenly.
            let is_bundle = turn * self.bundles_percent / 100 != (turn + 1) * self.bundles_percent / 100;
            let count = &mut counts[node][usize::from(is_bundle)];
            let first = (*count + node) % rollups;
            *count += 1;
            let of = if is_bundle { vec![first, (first + 1) % rollups] } else { vec![first] };
            (number, of.into_iter().map(|rollup| purses[rollup].draft(rollup, node, is_bundle)).collect())
        };
        let drafts: Vec<(u64, Vec<Draft>)> = (0..self.units).map(draft).collect();
        let signed =
            in_parallel(&drafts, |signer, (number, drafts)| self.unit(domain, &purses, signer, *number, drafts));
        let mut by_node = vec![VecDeque::new(); nodes];
        for (index, unit) in signed.into_iter().enumerate() {
            by_node[index % nodes].push_back(unit);
        }
        Prepared { by_node }
    }

    fn unit(&self, domain: &Domain, purses: &[Purse], signer: &Signer, number: u64, drafts: &[Draft]) -> SignedUnit {
        let sender = |draft: &Draft| &purses[draft.rollup].accounts[draft.account];
        // To somebody who has ether already, and is not the same each time.
        let receiver = |draft: &Draft| {
            let accounts = &purses[draft.rollup].accounts;
            accounts[(draft.account + 1 + usize::try_from(number).unwrap_or_default()) % accounts.len()].address
        };
        let transaction = |draft: &Draft| payment(domain.rollups[draft.rollup].id, draft.nonce, receiver(draft));
        let sign = |draft: &Draft, transaction: TxEip1559| {
            let (raw, hash) = signer.transaction(sender(draft), transaction);
            let rollup = domain.rollups[draft.rollup].id;
            (Transaction { rollup, data: Blob::new(raw).expect("small") }, (draft.rollup, hash))
        };
        if let [draft] = drafts {
            let (signed, hash) = sign(draft, transaction(draft));
            return SignedUnit { unit: Unit::Transaction(signed), hashes: vec![hash] };
        }
        let payer = signer.developer();
        let terms = Terms {
            chain: domain.chain,
            domain: domain.id,
            payer: AccountId(payer.address.into_array()),
            max_fee: 1,
            expiry: Height(domain.height + LIFETIME_HEIGHTS),
            salt: self.run.wrapping_add(number),
        };
        let legs: Vec<TxEip1559> =
            drafts.iter().map(|draft| TxEip1559 { gas_limit: LEG_GAS, ..transaction(draft) }).collect();
        let bound = drafts.iter().zip(&legs).map(|(draft, leg)| BoundLeg {
            rollup: RollupId(leg.chain_id),
            sender: sender(draft).address,
            unmarked: leg.signature_hash(),
        });
        let entry = Marker::entry(binding(&terms, &bound.collect::<Vec<_>>()));
        let signed = drafts
            .iter()
            .zip(legs)
            .map(|(draft, leg)| sign(draft, TxEip1559 { access_list: AccessList(vec![entry.clone()]), ..leg }));
        let (legs, hashes): (Vec<_>, Vec<_>) = signed.unzip();
        let Terms { domain: id, payer: account, max_fee, expiry, salt, .. } = terms;
        let execution = Execution { domain: id, payer: account, max_fee, attempt: 0 };
        let promise = |signature| Promise::Execution(PaidExecution { execution, signature });
        let unpaid = promise(AccountSignature([0; AccountSignature::BYTES]));
        let mut bundle = Bundle { promise: unpaid, legs: List::new(legs).expect("two"), expiry, salt };
        // The signature is over the id, and not in it.
        bundle.promise = promise(signer.message(&payer, &pay_message(domain.chain, bundle.id())));
        SignedUnit { unit: Unit::Bundle(bundle), hashes }
    }
}

fn payment(rollup: RollupId, nonce: u64, to: Address) -> TxEip1559 {
    TxEip1559 {
        chain_id: rollup.0,
        nonce,
        gas_limit: GAS,
        max_fee_per_gas: FEE_MAX,
        max_priority_fee_per_gas: TIP,
        to: TxKind::Call(to),
        value: U256::ONE,
        ..TxEip1559::default()
    }
}

/// What `work` makes of each item, in their order, on all processors.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&Signer, &T) -> R + Sync) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let work = &work;
    thread::scope(|scope| {
        let part = |part: &'_ [T]| {
            let signer = Signer::new();
            part.iter().map(|item| work(&signer, item)).collect::<Vec<_>>()
        };
        let parts = items.chunks(items.len().div_ceil(processors).max(1));
        let threads: Vec<_> = parts.map(|items| scope.spawn(move || part(items))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Vec<R>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::{Plan, SignedUnit};
    use crate::{
        load::executed::{Domain, Rollup},
        rpc::Endpoint,
    };
    use alloy_consensus::Transaction as _;
    use chorale_evm::{Marker, recover};
    use chorale_types::{ChainId, Digest, DomainId, RollupId, Unit};
    use std::collections::BTreeMap;

    fn domain() -> Domain {
        let rollup = |id| Rollup { id: RollupId(id), endpoint: Endpoint::new("test", "http://127.0.0.1:1").unwrap() };
        let rollups = vec![rollup(1001), rollup(1002)];
        Domain { chain: ChainId(Digest::from([1; 32])), id: DomainId(1), height: 5, rollups }
    }

    #[test]
    fn accounts_use_one_node_each_and_their_nonces_rise_by_one() {
        let plan = Plan { units: 1_000, bundles_percent: 10, accounts: 50, run: 3 };
        let (domain, nodes) = (domain(), 4);
        let prepared = plan.sign(&domain, plan.purses(2, nodes).unwrap(), nodes);
        let mut next = BTreeMap::new();
        let (mut bundles, mut transactions) = (0, BTreeMap::new());
        for (node, units) in prepared.by_node.iter().enumerate() {
            assert_eq!(units.len(), 250);
            for SignedUnit { unit, hashes } in units {
                if let Unit::Bundle(bundle) = unit {
                    bundles += 1;
                    let promised = bundle.promise.check(domain.chain, bundle.id(), &bundle.legs, |_| Some(domain.id));
                    assert_eq!(promised, Ok(()));
                }
                assert_eq!(unit.transactions().len(), hashes.len());
                for (transaction, (rollup, hash)) in unit.transactions().iter().zip(hashes) {
                    let signed = recover(&transaction.data, transaction.rollup.0).unwrap();
                    assert_eq!((domain.rollups[*rollup].id, *hash), (transaction.rollup, *signed.inner().tx_hash()));
                    assert_eq!(signed.marker() == Marker::None, hashes.len() == 1);
                    let (at, nonce) = next.entry((*rollup, signed.signer())).or_insert((node, 0));
                    assert_eq!((*at, *nonce), (node, signed.nonce()));
                    *nonce += 1;
                    *transactions.entry(transaction.rollup).or_insert(0) += 1;
                }
            }
        }
        assert_eq!(bundles, 100);
        assert_eq!(transactions.into_values().collect::<Vec<_>>(), [550, 550]);
        // Of 50 accounts for each rollup a fifth is for the legs, which are a fifth of the transactions.
        assert_eq!(next.len(), 100);
    }

    #[test]
    fn what_cannot_be_is_said() {
        let plan = Plan { units: 10, bundles_percent: 10, accounts: 5, run: 3 };
        assert!(plan.purses(1, 4).unwrap_err().to_string().contains("needs two rollups"));
        let none = Plan { units: 0, ..plan };
        assert!(none.purses(2, 4).unwrap_err().to_string().contains("a run has 1 to 1000000"));
    }
}
