//! The supervision tree: nodes that supervise, children that are supervised, and what happens when one falls.

mod child;
mod node;
mod snapshot;
mod supervisor;
mod wave;

pub(crate) use child::{Child, Drain, FORCE};
pub(crate) use node::Managed;
pub use snapshot::{Fallen, Quarantined, SlowEntity, State, TreeNode};
pub use supervisor::{StopTimeout, Supervisor};
