//! A thread that does something beside the readers, started when first needed, ended and joined
//! when its owner is dropped. Nobody ever waits to give it work: what it has no time for is lost,
//! and all work given to one is of the kind that may be lost.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// A thread that takes messages.
#[derive(Debug)]
pub struct Worker<M> {
    name: &'static str,
    /// Messages that may wait.
    waiting: usize,
    running: Mutex<Running<M>>,
}

#[derive(Debug)]
enum Running<M> {
    NotYet,
    Yes(SyncSender<M>, JoinHandle<()>),
    /// It could not be started.
    Never,
}

impl<M: Send + 'static> Worker<M> {
    /// Starts nothing yet.
    pub fn new(name: &'static str, waiting: usize) -> Self {
        Self { name, waiting, running: Mutex::new(Running::NotYet) }
    }

    /// Gives it a message, if it has room for one. `work` is what the thread does with all of
    /// them; it ends when the receiver does.
    pub fn tell<F>(&self, message: M, work: impl FnOnce() -> F)
    where
        F: FnOnce(Receiver<M>) + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Running::NotYet = *running {
            let (sender, receiver) = sync_channel(self.waiting);
            let work = work();
            let thread = Builder::new().name(self.name.to_owned()).spawn(move || work(receiver));
            *running = match thread {
                Ok(thread) => Running::Yes(sender, thread),
                Err(error) => {
                    log::warn!("cannot start the thread {}: {error}", self.name);
                    Running::Never
                }
            };
        }
        if let Running::Yes(sender, _) = &*running {
            // Full: lost.
            let _ = sender.try_send(message);
        }
    }
}

impl<M> Drop for Worker<M> {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Running::Yes(sender, thread) = std::mem::replace(running, Running::Never) {
            drop(sender);
            // A panic there was reported by the hook; readers do not depend on it.
            let _ = thread.join();
        }
    }
}
