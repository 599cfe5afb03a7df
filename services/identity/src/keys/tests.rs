#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use jsonwebtoken::jwk::JwkSet;
use viscount_chassis::auth::{AuthConfig, AuthError, JwksSource, Role, Verifier};
use viscount_contracts::UserId;

use super::*;

fn claims(life: Duration) -> Claims {
    let now = Timestamp::now().as_second();
    Claims {
        sub: UserId::new(),
        roles: Role::Customer.into(),
        iss: "https://shop.test".into(),
        aud: "viscount".into(),
        exp: now + life.as_secs() as i64,
        iat: now,
        jti: None,
    }
}

fn verifier(keys: JwkSet) -> Verifier {
    let (issuer, audience) = ("https://shop.test".into(), "viscount".into());
    Verifier::new(AuthConfig { issuer, audience, jwks: JwksSource::Static(keys) })
}

fn kids(ring: &KeyRing) -> Vec<String> {
    ring.jwks().keys.into_iter().map(|key| key.common.key_id.unwrap()).collect()
}

fn files(directory: &Path) -> HashSet<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

const QUARTER: Duration = Duration::from_secs(900);

#[test]
fn what_the_ring_signs_is_believed_by_whoever_has_its_public_keys() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::open_or_create(directory.path().join("keys")).unwrap();
    let claims = claims(QUARTER);
    let token = ring.sign(&claims).unwrap();
    let principal = verifier(ring.jwks()).verify(&token).unwrap();
    assert_eq!((principal.subject, principal.has(Role::Customer)), (claims.sub, true));

    let stranger = KeyRing::open_or_create(directory.path().join("others")).unwrap();
    assert!(matches!(verifier(stranger.jwks()).verify(&token), Err(AuthError::Rejected(_))));
}

#[test]
fn opening_again_finds_the_same_keys() {
    let directory = tempfile::tempdir().unwrap();
    let first = KeyRing::open_or_create(directory.path()).unwrap();
    let again = KeyRing::open_or_create(directory.path()).unwrap();
    assert_eq!(first.jwks(), again.jwks());
    assert_eq!(kids(&first).len(), 2);
    assert_eq!(serde_json::from_slice::<JwkSet>(&first.jwks_json()).unwrap(), first.jwks());
}

#[test]
fn nobody_but_the_owner_may_read_the_private_keys_and_none_is_public() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let ring = KeyRing::open_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for name in files(&path) {
        let mode = fs::metadata(path.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let json = serde_json::to_value(ring.jwks()).unwrap();
    for key in json["keys"].as_array().unwrap() {
        let members: HashSet<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, HashSet::from(["kty", "crv", "x", "kid", "alg", "use"]));
    }
    assert!(!format!("{ring:?}").contains("BEGIN"));
}

#[test]
fn rotation_moves_the_next_key_up_and_keeps_old_tokens_good() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::open_or_create(directory.path()).unwrap();
    let before = ring.overview();
    let old = ring.sign(&claims(QUARTER)).unwrap();

    let after = ring.rotate(Rotation::InTurn).unwrap();
    assert_eq!(after.current, before.next, "the key that everybody knows already signs now");
    assert_eq!(kids(&ring), [after.current.as_str(), after.next.as_str(), before.current.as_str()]);
    assert!(after.withdrawn[0].1 >= later(Timestamp::now(), QUARTER), "longer than any token of the service");
    let new = ring.sign(&claims(QUARTER)).unwrap();
    let verifier = verifier(ring.jwks());
    assert!(verifier.verify(&old).is_ok() && verifier.verify(&new).is_ok());

    let left = files(directory.path());
    assert!(
        !left.contains(&format!("{}.pem", before.current)),
        "a withdrawn key cannot sign any more: {left:?}"
    );
    assert_eq!(left.iter().filter(|name| name.ends_with(".pem")).count(), 2);
}

#[test]
fn compromised_keys_are_gone_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::open_or_create(directory.path()).unwrap();
    ring.rotate(Rotation::InTurn).unwrap();
    let before = kids(&ring);
    let token = ring.sign(&claims(QUARTER)).unwrap();
    ring.rotate(Rotation::Compromised).unwrap();
    assert!(kids(&ring).iter().all(|kid| !before.contains(kid)));
    assert!(verifier(ring.jwks()).verify(&token).is_err());
}

#[test]
fn a_key_outlives_the_longest_token_it_signed() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::open_or_create(directory.path()).unwrap();
    let long = claims(Duration::from_secs(90 * 24 * 3600));
    ring.sign(&long).unwrap();
    let overview = ring.rotate(Rotation::InTurn).unwrap();
    assert_eq!(overview.withdrawn[0].1.as_second(), long.exp);
}

#[test]
fn a_withdrawn_key_leaves_when_its_time_is_over() {
    let start = Timestamp::UNIX_EPOCH;
    let key = |_| SigningKey::generate().unwrap();
    let [a, b, c, d] = [0, 1, 2, 3].map(key);
    let ring = Manifest::new(a.kid().clone(), b.kid().clone(), start);
    let at = |seconds| later(start, Duration::from_secs(seconds));
    let ring = ring.rotated(a.public().clone(), c.kid().clone(), at(10), at(100));
    assert_eq!(ring.without_expired(at(99)), None);
    let ring = ring.rotated(b.public().clone(), d.kid().clone(), at(50), at(140));
    assert_eq!((ring.withdrawn().len(), ring.current()), (2, c.kid()));
    let ring = ring.without_expired(at(100)).unwrap();
    assert_eq!(ring.withdrawn().iter().map(|w| &w.key).collect::<Vec<_>>(), [b.public()]);
    assert_eq!(ring.without_expired(at(140)).unwrap().withdrawn(), []);
}

#[test]
fn age_rotates_once_however_many_replicas_look() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::open_or_create(directory.path()).unwrap();
    assert!(!ring.rotate_when_older_than(Duration::from_secs(3600)).unwrap());
    let other = KeyRing::open_or_create(directory.path()).unwrap();
    assert!(ring.rotate_when_older_than(Duration::ZERO).unwrap());
    // The other one still has the old state in memory; under the lock it sees that the key is young.
    assert!(!other.rotate_when_older_than(Duration::from_millis(1).max(age(&ring) + QUARTER)).unwrap());
    assert!(other.refresh().unwrap());
    assert_eq!(ring.overview(), other.overview());
    assert!(!other.refresh().unwrap());
}

fn age(ring: &KeyRing) -> Duration {
    Timestamp::now().duration_since(ring.overview().since).unsigned_abs()
}

#[test]
fn processes_that_start_at_once_agree_on_one_ring() {
    let directory = tempfile::tempdir().unwrap();
    let sets: Vec<_> = std::thread::scope(|scope| {
        let open = || scope.spawn(|| kids(&KeyRing::open_or_create(directory.path()).unwrap()));
        let threads: Vec<_> = (0..8).map(|_| open()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(sets.iter().all(|set| *set == sets[0]));
}

#[test]
fn rotations_at_once_lose_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let ring = KeyRing::open_or_create(directory.path()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let own = KeyRing::open_or_create(directory.path()).unwrap();
                own.rotate(Rotation::InTurn).unwrap();
                own.sign(&claims(QUARTER)).unwrap();
            });
        }
    });
    ring.refresh().unwrap();
    assert_eq!(ring.overview().withdrawn.len(), 6);
    assert_eq!(kids(&ring).into_iter().collect::<HashSet<_>>().len(), 8);
}

#[test]
fn broken_files_are_one_clear_line_each() {
    let spoil = |what: &dyn Fn(&Path, &Overview)| {
        let directory = tempfile::tempdir().unwrap();
        let overview = KeyRing::open_or_create(directory.path()).unwrap().overview();
        what(directory.path(), &overview);
        let line = KeyRing::open_or_create(directory.path()).unwrap_err().to_string();
        assert!(line.contains(&directory.path().display().to_string()) && !line.contains('\n'), "{line}");
        line
    };
    let pem = |path: &Path, kid: &Kid| path.join(format!("{kid}.pem"));
    let cases = [
        spoil(&|path, _| fs::write(path.join("ring.json"), b"{\"current\":").unwrap()),
        spoil(&|path, _| fs::write(path.join("ring.json"), b"").unwrap()),
        spoil(&|path, ring| fs::write(pem(path, &ring.current), b"not a key").unwrap()),
        spoil(&|path, ring| fs::remove_file(pem(path, &ring.next)).unwrap()),
        spoil(&|path, ring| {
            fs::copy(pem(path, &ring.next), pem(path, &ring.current)).unwrap();
        }),
    ];
    for (line, word) in cases.iter().zip(["ring.json", "ring.json", "not an Ed25519", "gone", "another key"])
    {
        assert!(line.contains(word), "{line}");
    }
}

#[test]
fn what_a_killed_process_left_behind_is_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let half = SigningKey::generate().unwrap();
    fs::write(directory.path().join(format!("{}.pem", half.kid())), half.to_pem()).unwrap();
    fs::write(directory.path().join(format!(".ring.json.{}.new", std::process::id())), b"{").unwrap();
    let ring = KeyRing::open_or_create(directory.path()).unwrap();
    assert!(!kids(&ring).contains(&half.kid().to_string()));
    assert_eq!(files(directory.path()).len(), 4, "ring, lock and two keys: {:?}", files(directory.path()));
}

#[test]
fn a_name_that_is_no_thumbprint_never_becomes_a_path() {
    for name in ["../../etc/passwd", "", "short", &"/".repeat(43)] {
        assert!(serde_json::from_value::<Kid>(name.into()).is_err(), "{name}");
    }
}
