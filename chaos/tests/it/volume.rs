//! A disk that is full.

use chaos::platform::{Part, Plan, Platform, PlatformError};

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
        let volume = platform.volume(&postgres).unwrap();
        let shop = Shop::open(&platform).await;
        shop.order().await;
        assert!(volume.fill().unwrap() > 0);
        let full = std::fs::write(platform.folder().join("postgres/more"), [0; 8_192]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        volume.free().unwrap();
        platform.start_part(&postgres).await.unwrap();
        shop.order().await;
        drop(volume);
        platform.stop().await.unwrap();
        assert_tidy(folder.path());
    });
}
