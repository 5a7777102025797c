//! The files of `occ toy --out`.

use super::experiment::Experiment;
use super::plots;
use crate::failure::{Failure, exists, in_file};
use crate::paths::is_taken;
use occ::Result;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

const TEXT: &str = "toy.txt";
const NETWORKS: &str = "networks.safetensors";

/// Checks, before any work, that the folder does not contain text or networks already.
pub fn check(folder: &Path, force: bool) -> std::result::Result<(), Failure> {
    for taken in [folder.join(TEXT), folder.join(NETWORKS)] {
        if is_taken(&taken) && !force {
            return exists(&taken);
        }
    }
    fs::create_dir_all(folder).map_err(|source| in_file(folder, source))?;
    Ok(())
}

/// Writes the text, the networks and the plots.
pub fn write(experiment: &Experiment, text: &str, folder: &Path, force: bool) -> Result<()> {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        occ::write_file(path, bytes, force)
    };
    write(TEXT, text.as_bytes())?;
    write(NETWORKS, &networks(experiment)?)?;
    for (name, plot) in plots::draw(experiment) {
        write(&name, plot.file().as_bytes())?;
    }
    Ok(())
}

/// All networks as safetensors, with names such as `a.relu.64.0.weight`.
fn networks(experiment: &Experiment) -> Result<Vec<u8>> {
    let mut tensors = Vec::new();
    for case in &experiment.cases {
        for result in &case.networks {
            let network = &result.network;
            let prefix = format!("{:?} {}", case.case, network.name()).to_lowercase();
            for parameter in network.parameter_list() {
                let name = format!("{} {}", prefix, parameter.name).replace(' ', ".");
                let numbers = &network.parameters[parameter.range];
                let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                tensors.push((name, parameter.shape, bytes));
            }
        }
    }
    let mut views = Vec::new();
    for (name, shape, bytes) in &tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        views.push((name, view.map_err(std::io::Error::other)?));
    }
    let metadata = HashMap::from([("made_by".to_owned(), "occ toy".to_owned())]);
    Ok(safetensors::serialize(views, Some(metadata)).map_err(std::io::Error::other)?)
}
