//! Who runs the parts of a height that do not know of each other.
//!
//! Nothing here starts a thread: whoever derives may bring an [`Executor`] that does. What is derived does not depend on
//! it, because parts share nothing that any of them changes, and what they made is put together in the order in which they
//! were given.

use std::fmt;

/// Something to do that shares nothing with what is done beside it, but for what nobody changes.
pub type Part<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs parts.
pub trait Executor: fmt::Debug {
    /// Runs every part once, in any order or at the same time, and returns when all have ended.
    fn run(&self, parts: Vec<Part<'_>>);
}

/// Runs parts one after the other, where it is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InTurn;

impl Executor for InTurn {
    fn run(&self, parts: Vec<Part<'_>>) {
        parts.into_iter().for_each(|part| part());
    }
}

/// What `work` makes of each item, in the order of the items.
///
/// # Panics
///
/// If the executor left a part out: then nothing may be derived at all.
pub(crate) fn run_all<T: Send, R: Send>(
    executor: &dyn Executor,
    items: Vec<T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    if items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    let mut made: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let work = &work;
    let parts = items.into_iter().zip(&mut made);
    let parts = parts.map(|(item, made)| Box::new(move || *made = Some(work(item))) as Part<'_>);
    executor.run(parts.collect());
    made.into_iter().map(|made| made.expect("an executor runs every part")).collect()
}
