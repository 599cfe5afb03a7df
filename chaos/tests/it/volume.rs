//! A disk that is full.

use std::time::Duration;

use chaos::{
    faults::{Bench, Body as _},
    platform::{Part, Plan, Platform, PlatformError},
};

use crate::bed::{Folder, Shop, assert_tidy, block_on, embedded, processes_in};

#[test]
fn on_a_full_disk_nothing_is_taken_and_afterwards_everything_is() {
    block_on(async {
        let folder = Folder::new();
        let plan = Plan { volume: Some(400), ..embedded() };
        let platform = match Platform::start(plan, folder.path()).await {
            Ok(platform) => platform,
            // Who may not mount is told so, and nothing is left either.
            Err(refused) => {
                assert!(matches!(refused, PlatformError::NoVolume { .. }), "{refused}");
                return assert_eq!(processes_in(folder.path()), Vec::<String>::new());
            }
        };
        let postgres = Part::new("postgres");
        assert!(platform.volume(&Part::new("platform-1")).is_none());
        assert!(platform.volume(&postgres).is_some());
        let bench = Bench::new(&platform).await.unwrap();
        let shop = Shop::open(&platform).await;
        shop.order().await;
        bench.fill("postgres", true).await.unwrap();
        let full = std::fs::write(platform.folder().join("postgres/more"), [0; 8_192]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        bench.fill("postgres", false).await.unwrap();
        bench.start("postgres", Duration::from_secs(60)).await.unwrap();
        shop.order().await;
        // Whether it has given up or not: that is of the full disk.
        assert_eq!(platform.deaths(), Vec::<String>::new());
        platform.stop().await.unwrap();
        assert_tidy(folder.path());
    });
}
