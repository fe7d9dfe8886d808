//! Where a tick stops and waits to be told to go on.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

/// Where a tick stops and waits to be told to go on: before each call and each commit.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<Door>>);

#[derive(Default)]
struct Door {
    shut: bool,
    waiting: bool,
    /// The number of the step that waits.
    step: usize,
    let_one: bool,
    /// Wakes who waits, also where others stand between: some of them ask only those again that were woken.
    waker: Option<Waker>,
}

impl Gate {
    fn door(&self) -> MutexGuard<'_, Door> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it may pass to a step.
    pub fn pass(&self, step: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let gate = self.clone();
        Box::pin(poll_fn(move |cx| {
            let mut door = gate.door();
            if !door.shut || door.let_one {
                (door.let_one, door.waiting) = (false, false);
                return Poll::Ready(());
            }
            (door.waiting, door.step) = (true, step);
            door.waker = Some(cx.waker().clone());
            Poll::Pending
        }))
    }

    /// Everybody passes, or each step waits.
    pub fn shut(&self, shut: bool) {
        *self.door() = Door { shut, ..Door::default() };
    }

    /// Before which step somebody waits.
    pub fn step(&self) -> usize {
        self.door().step
    }

    /// Goes on with a piece of work up to the next step; its end, if it came to it.
    pub async fn advance<T>(&self, work: &mut Pin<Box<dyn Future<Output = T> + '_>>) -> Option<T> {
        {
            let mut door = self.door();
            door.let_one = door.waiting;
            if let Some(waker) = door.waker.take() {
                waker.wake();
            }
        }
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(end) => Poll::Ready(Some(end)),
            Poll::Pending => {
                let door = self.door();
                if door.waiting && !door.let_one { Poll::Ready(None) } else { Poll::Pending }
            }
        })
        .await
    }
}
