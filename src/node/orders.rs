//! Orders: what an operator of this machine ordered, kept in `orders.json` in the state folder.
//!
//! Written before it is acted on, and whole. An agent that starts does as it was told last; a file that cannot be read is no reason to forget that, so it does not start.

use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tracing::{info, warn};

use crate::health::Orders;
use crate::status::control::{Done, Order};
use crate::whole_file;

/// The orders, on disk and for whoever follows them.
#[derive(Clone)]
pub(super) struct KeptOrders {
    folder: PathBuf,
    current: watch::Sender<Orders>,
}

impl KeptOrders {
    /// Reads what was ordered before this agent started.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        let advice = "it says whether an operator drained this node: put it right, or remove it";
        let orders = whole_file::recall(&folder.join("orders.json"), advice)?;
        Ok(Self { folder: folder.to_owned(), current: watch::Sender::new(orders) })
    }

    /// Follows them.
    pub(super) fn follow(&self) -> watch::Receiver<Orders> {
        self.current.subscribe()
    }

    /// Carries out what an operator orders.
    pub(super) fn act(&self, order: Order) -> Done {
        let before = self.current.borrow().clone();
        let (after, said) = match order {
            Order::Drain if before.maintenance => return Ok("it is drained already".to_owned()),
            Order::Drain => {
                (Orders { maintenance: true, ..before }, "draining; `shoestring status` shows how far it is")
            }
            Order::Undrain if !before.maintenance => {
                return Ok(match before.fenced {
                    Some(_) => {
                        "nobody drained it here, but the fence is up: --fence takes it down".to_owned()
                    }
                    None => "nobody drained it here".to_owned(),
                });
            }
            Order::Undrain => (
                Orders { maintenance: false, ..before },
                "no longer drained; it announces once its name server answers, unless the repository drains it",
            ),
            Order::Unfence if before.fenced.is_none() => return Ok("the fence is not up".to_owned()),
            Order::Unfence => (Orders { fenced: None, ..before }, "the fence is down"),
        };
        self.keep(after)?;
        info!(?order, "an operator of this machine gave an order");
        Ok(said.to_owned())
    }

    /// Notes that the fence is up, until a person takes it down. Whether that is kept.
    pub(super) fn fence(&self, why: &str) -> bool {
        let before = self.current.borrow().clone();
        if before.fenced.is_some() {
            return true;
        }
        let kept = self.keep(Orders { fenced: Some(why.to_owned()), ..before });
        if let Err(error) = &kept {
            warn!(%error, "the fence is up, and an agent that starts would not know");
        }
        kept.is_ok()
    }

    fn keep(&self, orders: Orders) -> Result<(), String> {
        whole_file::keep(&self.folder.join("orders.json"), &orders)
            .map_err(|why| format!("cannot keep the order in {why}"))?;
        self.current.send_replace(orders);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_order_outlives_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let open = || KeptOrders::open(folder.path()).unwrap();
        let now = |orders: &KeptOrders| orders.follow().borrow().clone();
        let orders = open();
        assert_eq!(now(&orders), Orders::default());
        assert!(orders.act(Order::Undrain).unwrap().contains("nobody"));
        orders.act(Order::Drain).unwrap();
        assert!(now(&open()).maintenance);
        assert!(open().act(Order::Drain).unwrap().contains("already"));
        assert!(orders.fence("a leak") && orders.fence("another"), "the first reason stays");
        orders.act(Order::Undrain).unwrap();
        assert_eq!(now(&open()), Orders { maintenance: false, fenced: Some("a leak".to_owned()) });
        open().act(Order::Unfence).unwrap();
        assert_eq!(now(&open()), Orders::default());
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("orders.json"), "{\"maint\": 1}").unwrap();
        let error = KeptOrders::open(folder.path()).err().unwrap();
        assert!(error.contains("orders.json") && error.contains("remove it"), "{error}");
        // Nor is an order carried out that cannot be kept.
        let gone = tempfile::tempdir().unwrap();
        let orders = KeptOrders::open(gone.path()).unwrap();
        gone.close().unwrap();
        assert!(orders.act(Order::Drain).is_err());
        assert_eq!(*orders.follow().borrow(), Orders::default());
    }
}
