//! Giving views up: the timer, timeouts, and answers to those who are behind.

use crate::{
    Core, To,
    check::{self, Check},
    invalid::Invalid,
    mutation::Mutation,
    timeouts::Cast,
    timer::after,
};
use chorale_types::{Entry, High, Message, Nudge, Scheme, Statement, Timeout, TimestampMs, ValidatorIndex, View};

impl<S: Scheme> Core<S> {
    /// Starts the timer of the view.
    ///
    /// On an idle chain the leader may hold an empty proposal back, and everybody waits that much longer; but not
    /// whoever has something pending.
    pub(crate) fn set_timer(&mut self) {
        let short = self.timer.duration_ms(&self.rules, self.record.view);
        let idle = if self.is_quiet() { self.parameters.idle_interval_ms } else { 0 };
        self.view_deadline = after(self.now, short.saturating_add(idle));
        let nudges = self.pending && self.parameters.idle_interval_ms > 0;
        self.nudge_at = nudges.then(|| after(self.now, short / 4));
    }

    /// Whether, as far as this node knows, nobody waits for anything to be ordered or committed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.parameters.idle_interval_ms > 0 && !self.pending && !self.tree.is_open(&self.record.high.block)
    }

    pub(crate) fn on_pending(&mut self, pending: bool) {
        let began = pending && !self.pending;
        self.pending = pending;
        if !began || self.epochs.ended || self.parameters.idle_interval_ms == 0 {
            return;
        }
        let short = self.timer.duration_ms(&self.rules, self.record.view);
        self.view_deadline = self.view_deadline.min(after(self.now, short));
        self.release();
        self.nudge();
    }

    /// Tells the leader that something is pending, unless it has proposed.
    pub(crate) fn nudge(&mut self) {
        self.nudge_at = None;
        let view = self.record.view;
        let proposed = self.pools.at(view).is_some_and(|pool| pool.proposal.is_some());
        let leader = self.rules.leader(view);
        if !proposed && self.index != Some(leader) {
            let nudge = Nudge { epoch: self.rules.info.epoch, view };
            self.send(To::One(leader), Message::Nudge(nudge));
        }
    }

    /// The timer fired: gives the view up, or says so again.
    pub(crate) fn give_up(&mut self) {
        self.view_deadline = after(self.now, self.timer.plain_ms(&self.rules, self.record.view));
        if self.signer().is_none() {
            return;
        }
        if self.has_given_up() && !self.has(Mutation::TimeoutRefreshed) {
            if let Some(timeout) = &self.record.timeout {
                self.signed.push((To::All, Message::Timeout(timeout.clone())));
            }
            return;
        }
        self.time_out();
    }

    fn has_given_up(&self) -> bool {
        self.record.timeout.as_ref().is_some_and(|timeout| timeout.view >= self.record.view)
    }

    /// Fences the view and reports the best that this node knows.
    fn time_out(&mut self) {
        let Some(author) = self.signer() else { return };
        let view = self.record.view;
        let high = match &self.record.tip {
            Some(tip) if !self.has(Mutation::TipNotReported) => High::Voted(tip.clone()),
            _ => High::Certified(self.record.high.clone()),
        };
        let rank = self.rules.rank(&high);
        let signature = self.sign(&Statement::Timeout { view, rank });
        let entry = if check::says_how_entered(&high, view) { None } else { self.record.entry.clone() };
        let timeout = Timeout { epoch: self.rules.info.epoch, view, high, author, signature, entry };
        self.record.timeout = Some(timeout.clone());
        self.dirty = true;
        self.stage = crate::lead::Stage::Off;
        self.count_own_timeout(&timeout);
        self.signed.push((To::All, Message::Timeout(timeout)));
        self.view_deadline = after(self.now, self.timer.plain_ms(&self.rules, view));
        self.add_up_timeouts(view);
    }

    /// Counts this node's own timeout.
    pub(crate) fn count_own_timeout(&mut self, timeout: &Timeout) {
        let rank = self.rules.rank(&timeout.high);
        if let Some(pool) = self.pools.at(timeout.view) {
            pool.timeouts.set_best(rank, &timeout.high);
            pool.timeouts.add(&self.rules, timeout.author, rank, timeout.signature);
        }
    }

    pub(crate) fn on_timeout(&mut self, from: ValidatorIndex, timeout: &Timeout) -> Result<(), Invalid> {
        if timeout.author != from {
            return Err(Invalid::Sender { from, author: timeout.author });
        }
        let rank = self.rules.rank(&timeout.high);
        check::rank_in_range(rank, timeout.view)?;
        if timeout.view > self.record.view {
            self.catch_up(timeout)?;
        }
        if self.epochs.ended || timeout.view > self.record.view {
            return Ok(());
        }
        let signed = (Statement::Timeout { view: timeout.view, rank }, timeout.signature);
        if timeout.view < self.record.view {
            self.answer_stale(from);
            self.note_stale_timeout(timeout, signed);
            return match &timeout.high {
                High::Certified(high) if high.view > self.record.high.view => self.take_certificate(high),
                _ => Ok(()),
            };
        }
        let Some(pool) = self.pools.at(timeout.view) else { return Ok(()) };
        if pool.timeouts.is_ignored(from) {
            return Ok(());
        }
        if pool.timeouts.is_news(rank) && pool.timeouts.of(from).is_none() {
            self.learn_best(timeout, rank)?;
        }
        self.count_timeout(timeout, signed);
        Ok(())
    }

    /// Follows the author of a timeout into its view.
    fn catch_up(&mut self, timeout: &Timeout) -> Result<(), Invalid> {
        let mut check = Check::new(&self.rules, &self.verified);
        check.entered(timeout)?;
        check.verify(&self.scheme)?;
        match (&timeout.high, &timeout.entry) {
            (high, _) if check::says_how_entered(high, timeout.view) => self.learn_high(high),
            (_, Some(Entry::Certified(certificate))) => self.learn_certificate(certificate),
            (_, Some(Entry::TimedOut(certificate))) => self.learn_timeouts(certificate, None),
            (_, None) => {}
        }
        Ok(())
    }

    /// Verifies the best of a timeout, with its signature, because it is above what the others know.
    fn learn_best(&mut self, timeout: &Timeout, rank: chorale_types::Rank) -> Result<(), Invalid> {
        let mut check = Check::new(&self.rules, &self.verified);
        check.high(&timeout.high, timeout.view)?;
        check.timeout(timeout, rank);
        check.verify(&self.scheme)?;
        self.learn_high(&timeout.high);
        if let Some(pool) = self.pools.at(timeout.view) {
            pool.timeouts.set_best(rank, &timeout.high);
        }
        Ok(())
    }

    fn learn_high(&mut self, high: &High) {
        match high {
            High::Certified(certificate) => self.learn_certificate(certificate),
            High::Voted(tip) => {
                let id = self.verified.tip(tip).unwrap_or_else(|| tip.header.id());
                self.learn_tip(id, tip);
            }
        }
    }

    fn count_timeout(&mut self, timeout: &Timeout, signed: (Statement, chorale_types::Signature)) {
        let (view, author) = (timeout.view, timeout.author);
        let rank = self.rules.rank(&timeout.high);
        let Some(pool) = self.pools.at(view) else { return };
        match pool.timeouts.add(&self.rules, author, rank, timeout.signature) {
            Cast::Known => {}
            Cast::Conflict(before, signature) => {
                self.accuse(author, (Statement::Timeout { view, rank: before }, signature), signed);
            }
            Cast::Counted => {
                let weight = pool.timeouts.weight();
                self.watch_timeout(author, view, signed);
                // Whoever gives up waits for something, and so does the chain.
                self.release();
                if view == self.record.view && weight >= self.rules.info.validators.honest() && !self.has_given_up() {
                    self.time_out();
                }
                self.add_up_timeouts(view);
            }
        }
    }

    /// A quorum of timeouts ends the view.
    pub(crate) fn add_up_timeouts(&mut self, view: View) {
        if view != self.record.view || self.epochs.ended {
            return;
        }
        let Some(pool) = self.pools.at(view) else { return };
        let mut liars = Vec::new();
        let certificate = pool.timeouts.certify(&self.rules, &self.scheme, view, &mut liars);
        self.blame_liars(&liars);
        if let Some(certificate) = certificate {
            let id = match &certificate.high {
                High::Voted(tip) => self.verified.tip(tip),
                High::Certified(_) => None,
            };
            self.learn_timeouts(&certificate, id);
        }
    }

    /// Keeps a timeout of a past view as possible evidence.
    fn note_stale_timeout(&mut self, timeout: &Timeout, signed: (Statement, chorale_types::Signature)) {
        let (view, author) = (timeout.view, timeout.author);
        let rank = self.rules.rank(&timeout.high);
        let Some(pool) = self.pools.at(view) else { return };
        match pool.timeouts.add(&self.rules, author, rank, timeout.signature) {
            Cast::Known => {}
            Cast::Conflict(before, signature) => {
                self.accuse(author, (Statement::Timeout { view, rank: before }, signature), signed);
            }
            Cast::Counted => self.watch_timeout(author, view, signed),
        }
    }

    /// Shows somebody who is behind how this view was entered: once per view, and again if that was lost.
    fn answer_stale(&mut self, peer: ValidatorIndex) {
        let (view, now) = (self.record.view, self.now);
        let resend_ms = self.timer.resend_ms() / 2;
        let Some(last) = self.answered.get_mut(peer.as_usize()) else { return };
        let lately = |(answered, at): (View, TimestampMs)| answered == view && now < after(at, resend_ms) && now >= at;
        if last.is_some_and(lately) {
            return;
        }
        *last = Some((view, now));
        if let Some(entry) = self.record.entry.clone() {
            self.send(To::One(peer), Message::Entry(entry));
        }
    }
}
