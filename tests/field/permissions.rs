//! Permissions of outputs. Weights that only their owner can read stay so.
#![cfg(unix)]

use crate::command::Workplace;
use crate::common::{safetensors, small_samples};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

fn mode(place: &Workplace, name: &str) -> u32 {
    fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777
}

fn set_mode(place: &Workplace, name: &str, mode: u32) {
    fs::set_permissions(place.path(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn outputs_have_the_permissions_of_their_input() {
    let place = Workplace::new();
    place.write("m.safetensors", safetensors(&small_samples()));
    for private in [0o600, 0o400] {
        set_mode(&place, "m.safetensors", private);
        place.succeed(&["compress", "m.safetensors", "-o", "m.occ"]);
        assert_eq!(mode(&place, "m.occ"), private);
        place.succeed(&["decompress", "m.occ", "-o", "back.safetensors"]);
        assert_eq!(mode(&place, "back.safetensors"), private);
        for name in ["m.occ", "back.safetensors"] {
            fs::remove_file(place.path(name)).unwrap();
        }
    }
    // A file that is not private gives what the umask leaves, and never one that can be executed.
    set_mode(&place, "m.safetensors", 0o777);
    place.succeed(&["compress", "m.safetensors", "-o", "m.occ"]);
    place.write("any", "");
    assert_eq!(mode(&place, "m.occ"), mode(&place, "any"));
}

/// One private shard makes the whole file private, and all files that are restored from it.
#[test]
fn a_private_shard_makes_the_checkpoint_private() {
    let place = Workplace::new();
    let samples = small_samples();
    for (shard, sample) in samples[..2].iter().enumerate() {
        let name = format!("model/model-0000{}-of-00002.safetensors", shard + 1);
        place.write(&name, safetensors(std::slice::from_ref(sample)));
    }
    let index = format!(
        r#"{{"weight_map":{{"{}":"model-00001-of-00002.safetensors","{}":"model-00002-of-00002.safetensors"}}}}"#,
        samples[0].name, samples[1].name
    );
    place.write("model/model.safetensors.index.json", index);
    set_mode(&place, "model/model-00002-of-00002.safetensors", 0o600);
    place.succeed(&["compress", "model"]);
    assert_eq!(mode(&place, "model.occ"), 0o600);
    place.succeed(&["decompress", "model.occ", "-o", "back"]);
    for shard in ["back/model-00001-of-00002.safetensors", "back/model.safetensors.index.json"] {
        assert_eq!(mode(&place, shard), 0o600);
    }
}
