//! A module is saved and loaded.

use burn_core as burn;
use burn_core::module::Module;
use burn_core::tensor::Device;
use burn_nn::{Linear, LinearConfig};
use burn_store::{ModuleSnapshot, ModuleStore, PyTorchToBurnAdapter};
use occ::{Dtype, Encoding, WriteOptions, Writer};
use occ_burn_example::OccStore;

#[derive(Module, Debug)]
struct Model {
    first: Linear,
    second: Linear,
}

impl Model {
    fn random() -> Self {
        let device = Device::default();
        Self {
            first: LinearConfig::new(96, 128).init(&device),
            second: LinearConfig::new(128, 64).init(&device),
        }
    }

    fn weights(&self) -> Vec<f32> {
        let bytes = |tensor: &burn_pack::Tensor| tensor.to_bytes().unwrap().to_vec();
        let tensors = self.collect(None, None, true);
        let bytes: Vec<u8> = tensors.iter().flat_map(bytes).collect();
        bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

#[test]
fn a_module_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.occ");
    let (saved, mut loaded) = (Model::random(), Model::random());
    assert_ne!(saved.weights(), loaded.weights());
    saved.save_into(&mut OccStore::new(&path)).unwrap();
    let mut store = OccStore::new(&path);
    assert_eq!(store.keys().unwrap().len(), 4);
    let result = loaded.load_from(&mut store).unwrap();
    assert!(result.missing.is_empty() && result.errors.is_empty(), "{result}");
    assert_eq!(saved.weights(), loaded.weights());

    saved.save_into(&mut OccStore::new(&path).encoding(Encoding::bits(6.0))).unwrap();
    loaded.load_from(&mut OccStore::new(&path)).unwrap();
    let noise: f32 =
        saved.weights().iter().zip(loaded.weights()).map(|(a, b)| (a - b).powi(2)).sum();
    let signal: f32 = saved.weights().iter().map(|a| a.powi(2)).sum();
    assert!(noise > 0.0 && noise < 0.01 * signal, "{}", noise / signal);
}

/// PyTorch stores the weight of a linear layer as [outputs, inputs].
#[test]
fn weights_of_pytorch_are_transposed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.occ");
    let weight: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let mut writer = Writer::create(&path, WriteOptions::default()).unwrap();
    writer.add("weight", Dtype::F32, &[2, 3], &weight).unwrap();
    writer.add("bias", Dtype::F32, &[2], &[0; 8]).unwrap();
    writer.finish().unwrap();
    let mut linear = LinearConfig::new(3, 2).init(&Device::default());
    let result = linear.load_from(&mut OccStore::new(&path).from_adapter(PyTorchToBurnAdapter));
    assert!(result.unwrap().missing.is_empty());
    let loaded = linear.weight.val().into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(loaded, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}
