//! All or nothing: a plan is applied in order, and what was done is taken back when a step fails.
use crate::{
    Hold, Plan, Step,
    act::{Shared, Work},
    error::Error,
    lock::{Lock, Scope},
    places::{Place, Places},
    record::Key,
    shared::Reversal,
    state::State,
    step::Sysctl,
    undo::undo_steps,
};
use kernel::{Answer, Message, sysctl};
use types::IfName;

/// A plan that could not be applied.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub cause: Box<Error>,
    /// Why what had been done could not be taken back, if it could not. The record must then stay, for DEL.
    pub residue: Option<Box<Error>>,
}

/// Applies a plan. After a failure the host is as it was before.
pub fn apply(plan: &Plan, places: &mut Places, state: &State, key: &Key) -> Result<(), Failed> {
    places.turn_to_network(&key.network);
    places.work_for(key);
    let mut run = Run {
        places,
        state,
        key,
        done: Vec::new(),
        changed: Vec::new(),
        batch: Batch::default(),
        lock: None,
    };
    match run.steps(plan) {
        Ok(()) => Ok(()),
        Err(cause) => Err(Failed { cause: Box::new(cause), residue: run.take_back().err().map(Box::new) }),
    }
}

struct Run<'a> {
    places: &'a mut Places,
    state: &'a State,
    key: &'a Key,
    /// The own steps that are done.
    done: Vec<&'a Step>,
    /// What this run changed of shared things.
    changed: Vec<Change<'a>>,
    batch: Batch<'a>,
    lock: Option<Lock>,
}

/// Something that is to be reversed if the run fails.
enum Change<'a> {
    /// Of a shared thing.
    Made(Reversal),
    /// This attachment became a user of a shared step.
    Joined(&'a Step, String),
}

/// Neighbouring steps that wait to be done together in one namespace.
#[derive(Default)]
struct Batch<'a> {
    place: Option<Place>,
    netlink: Vec<(&'a Step, Hold, Message)>,
    sysctls: Vec<&'a Sysctl>,
}

impl<'a> Run<'a> {
    fn steps(&mut self, plan: &'a Plan) -> Result<(), Error> {
        for (hold, step) in plan.steps() {
            self.step(hold, step)?;
        }
        self.flush()?;
        self.lock = None;
        self.places.make_again()
    }

    fn step(&mut self, hold: Hold, step: &'a Step) -> Result<(), Error> {
        let act = step.act();
        if self.batch.place != Some(act.place()) {
            self.flush()?;
            self.batch.place = Some(act.place());
        }
        if act.by_number().is_some_and(|(place, link)| !self.places.has_met(place, link)) {
            self.flush()?;
        }
        match act.work(self.places)? {
            Work::Nothing => Ok(()),
            Work::Shared(shared) => {
                self.flush()?;
                self.ensure(step, shared)
            }
            Work::Claim(ports) => {
                // Under a lock of their own, as they are undone.
                self.alone(hold, step)?;
                ports.take(self.places)
            }
            Work::Filter(section, change) => {
                self.alone(hold, step)?;
                let put = self.places.filter.put(&[&section], &change);
                put.map_err(|cause| act.refused(cause, self.places))
            }
            Work::Own(own) if own.is_whole() => {
                self.flush()?;
                own.make(self.places)?;
                self.alone(hold, step)
            }
            Work::Own(own) => {
                self.alone(hold, step)?;
                own.make(self.places)
            }
            Work::Sysctl(sysctl) => {
                self.flush_netlink()?;
                self.batch.sysctls.push(sysctl);
                Ok(())
            }
            Work::Netlink(message) => {
                self.lock = None;
                self.flush_sysctls()?;
                self.batch.netlink.push((step, hold, message));
                Ok(())
            }
        }
    }

    /// What comes now is done by itself, under no lock of this run's; what it leaves half done is undone.
    fn alone(&mut self, hold: Hold, step: &'a Step) -> Result<(), Error> {
        self.flush()?;
        if hold == Hold::Own {
            self.done.push(step);
        }
        self.lock = None;
        self.join(step)
    }

    /// Users are counted before they look, or make it: what is there then, nobody takes away.
    fn join(&mut self, step: &'a Step) -> Result<(), Error> {
        let Some(thing) = step.act().counted() else { return Ok(()) };
        self.lock = None;
        self.changed.push(Change::Joined(step, thing.clone()));
        self.state.join(&thing, step, self.key)
    }

    /// The lock is held from the first of several shared neighbours that are missing to the last.
    fn ensure(&mut self, step: &'a Step, shared: &dyn Shared) -> Result<(), Error> {
        self.join(step)?;
        if shared.stands(self.places)? {
            return Ok(());
        }
        self.lock(shared.scope())?;
        let mut made = Vec::new();
        let outcome = shared.ensure(self.places, &mut made);
        self.changed.extend(made.into_iter().map(Change::Made));
        outcome
    }

    /// The lock of this scope; another one that is held is let go first.
    fn lock(&mut self, scope: Scope) -> Result<(), Error> {
        let held = self.lock.take().filter(|lock| lock.scope() == scope);
        if held.is_none() {
            self.places.look_again();
        }
        let lock = held.map_or_else(|| self.state.lock(self.key, scope), Ok)?;
        self.lock = Some(lock);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.flush_sysctls()?;
        self.flush_netlink()
    }

    fn flush_sysctls(&mut self) -> Result<(), Error> {
        let sysctls = std::mem::take(&mut self.batch.sysctls);
        let Some(place) = self.batch.place.filter(|_| !sysctls.is_empty()) else { return Ok(()) };
        self.places.within(place, || sysctls.iter().try_for_each(|sysctl| sysctl.write()))?
    }

    fn flush_netlink(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.batch.netlink);
        let Some(place) = self.batch.place.filter(|_| !batch.is_empty()) else { return Ok(()) };
        let messages: Vec<Message> = batch.iter().map(|(_, _, message)| message.clone()).collect();
        let answers = self.places.rtnl(place)?.transact(&messages)?;
        let mut refusal = Ok(());
        for ((step, hold, _), answer) in batch.into_iter().zip(answers) {
            match answer {
                Err(cause) if refusal.is_ok() => {
                    refusal = self.instead(place, step, cause).map(|answer| self.did(step, hold, &answer));
                }
                Err(_) => {}
                Ok(answer) => self.did(step, hold, &answer),
            }
        }
        refusal
    }

    fn did(&mut self, step: &'a Step, hold: Hold, answer: &Answer) {
        step.act().learn(answer, self.places);
        if hold == Hold::Own {
            self.done.push(step);
        }
    }

    /// Asks for what will do as well as what was refused.
    fn instead(&mut self, place: Place, step: &Step, cause: kernel::Error) -> Result<Answer, Error> {
        let act = step.act();
        let Some(message) = act.instead(&cause, self.places) else {
            return Err(act.refused(cause, self.places));
        };
        let mut answers = self.places.rtnl(place)?.transact(&[message])?;
        answers.remove(0).map_err(|cause| act.refused(cause, self.places))
    }

    /// Undoes what this run did, last first. Shared things only while nobody else can have come to rely on them.
    fn take_back(&mut self) -> Result<(), Error> {
        // Ports are given back under the host's lock, which does not let its holder through a second time.
        self.lock = None;
        let own = undo_steps(&self.done, self.places);
        while let Some(change) = self.changed.pop() {
            match change {
                Change::Made(change) => self.reverse(change)?,
                Change::Joined(step, thing) => {
                    self.lock = None;
                    self.places.leave(step, &thing, self.key, self.state)?;
                }
            }
        }
        self.lock = None;
        own.and(self.places.filter.lift_new().map_err(Error::from))
    }

    fn reverse(&mut self, change: Reversal) -> Result<(), Error> {
        let scope = change.scope();
        self.lock(scope)?;
        if self.state.is_alone(self.key, scope)? { change.reverse(self.places) } else { Ok(()) }
    }
}

impl Sysctl {
    /// Whether it is a link's.
    pub(crate) fn is_of(&self, link: &IfName) -> bool {
        self.path.iter().any(|part| part == link.as_str())
    }

    /// Writes it in the namespace that the thread is in.
    pub(crate) fn write(&self) -> Result<(), Error> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match sysctl::set(&path, &self.value) {
            Err(cause) if self.optional && cause.errno() == Some(nix::errno::Errno::ENOENT) => Ok(()),
            Err(cause) => Err(Error::Step { step: self.to_string(), cause }),
            Ok(_) => Ok(()),
        }
    }
}
