//! Slots with stable numbers, each of them in one of a few queues.
//!
//! A router keeps its entities in the order in which they went idle (who is first makes room first), and the busy ones
//! in the order in which they began (who is first may be stuck). Moving one from the middle of a queue to the end of
//! another has to be cheap, for it happens with every batch: hence a linked list inside the slab.

/// The number of a slot; stable for as long as the slot is taken.
pub(crate) type Index = usize;

const NONE: Index = Index::MAX;

/// Which queue a slot is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    Idle = 0,
    Busy = 1,
}

struct Node<T> {
    queue: Option<Queue>,
    before: Index,
    behind: Index,
    value: Option<T>,
}

pub(crate) struct Slab<T> {
    nodes: Vec<Node<T>>,
    free: Vec<Index>,
    first: [Index; 2],
    last: [Index; 2],
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Slab<T> {
        Slab { nodes: Vec::new(), free: Vec::new(), first: [NONE; 2], last: [NONE; 2] }
    }

    pub(crate) fn insert(&mut self, value: T) -> Index {
        let node = Node { queue: None, before: NONE, behind: NONE, value: Some(value) };
        match self.free.pop() {
            Some(index) => {
                self.nodes[index] = node;
                index
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        }
    }

    pub(crate) fn remove(&mut self, index: Index) -> Option<T> {
        self.unlink(index);
        let value = self.nodes.get_mut(index)?.value.take()?;
        self.free.push(index);
        Some(value)
    }

    pub(crate) fn get_mut(&mut self, index: Index) -> Option<&mut T> {
        self.nodes.get_mut(index)?.value.as_mut()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Index, &mut T)> {
        self.nodes.iter_mut().enumerate().filter_map(|(index, node)| Some((index, node.value.as_mut()?)))
    }

    pub(crate) fn queue(&self, index: Index) -> Option<Queue> {
        self.nodes.get(index)?.queue
    }

    pub(crate) fn front(&self, queue: Queue) -> Option<Index> {
        let first = self.first[queue as usize];
        (first != NONE).then_some(first)
    }

    /// The one behind this one in its queue.
    pub(crate) fn behind(&self, index: Index) -> Option<Index> {
        self.nodes.get(index).map(|node| node.behind).filter(|behind| *behind != NONE)
    }

    /// Puts a slot at the end of a queue, out of whichever it was in.
    pub(crate) fn push(&mut self, queue: Queue, index: Index) {
        self.unlink(index);
        let last = self.last[queue as usize];
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.queue = Some(queue);
        node.before = last;
        if last == NONE {
            self.first[queue as usize] = index;
        } else {
            self.nodes[last].behind = index;
        }
        self.last[queue as usize] = index;
    }

    /// Takes a slot out of its queue.
    pub(crate) fn unlink(&mut self, index: Index) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        let Some(queue) = node.queue.take() else { return };
        let before = std::mem::replace(&mut node.before, NONE);
        let behind = std::mem::replace(&mut node.behind, NONE);
        if before == NONE {
            self.first[queue as usize] = behind;
        } else {
            self.nodes[before].behind = behind;
        }
        if behind == NONE {
            self.last[queue as usize] = before;
        } else {
            self.nodes[behind].before = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert,
        Remove(usize),
        Push(usize, bool),
        Unlink(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Insert),
            1 => (0usize..16).prop_map(Step::Remove),
            4 => (0usize..16, any::<bool>()).prop_map(|(at, idle)| Step::Push(at, idle)),
            1 => (0usize..16).prop_map(Step::Unlink),
        ]
    }

    fn order(slab: &mut Slab<u32>, queue: Queue) -> Vec<Index> {
        let mut order = Vec::new();
        while let Some(front) = slab.front(queue) {
            order.push(front);
            slab.unlink(front);
        }
        for index in &order {
            slab.push(queue, *index);
        }
        order
    }

    proptest! {
        #[test]
        fn its_queues_are_in_the_order_of_pushing(steps in prop::collection::vec(step(), 0..80)) {
            let mut slab = Slab::new();
            let mut taken: Vec<Index> = Vec::new();
            let mut queues = [VecDeque::new(), VecDeque::new()];
            let mut value = 0;
            for step in steps {
                let pick = |at: usize| (!taken.is_empty()).then(|| taken[at % taken.len()]);
                match step {
                    Step::Insert => {
                        value += 1;
                        taken.push(slab.insert(value));
                    }
                    Step::Remove(at) => {
                        let Some(index) = pick(at) else { continue };
                        prop_assert!(slab.remove(index).is_some());
                        taken.retain(|other| *other != index);
                        queues.iter_mut().for_each(|queue| queue.retain(|other| *other != index));
                    }
                    Step::Push(at, idle) => {
                        let Some(index) = pick(at) else { continue };
                        let queue = if idle { Queue::Idle } else { Queue::Busy };
                        slab.push(queue, index);
                        queues.iter_mut().for_each(|queue| queue.retain(|other| *other != index));
                        queues[queue as usize].push_back(index);
                    }
                    Step::Unlink(at) => {
                        let Some(index) = pick(at) else { continue };
                        slab.unlink(index);
                        queues.iter_mut().for_each(|queue| queue.retain(|other| *other != index));
                    }
                }
                for queue in [Queue::Idle, Queue::Busy] {
                    let expected: Vec<Index> = queues[queue as usize].iter().copied().collect();
                    prop_assert_eq!(order(&mut slab, queue), expected);
                }
            }
        }
    }
}
