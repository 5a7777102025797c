//! A small random transformer layer: the same outputs from each kind of file.

use crate::cpu;
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, Module, VarBuilder, VarMap, ops::softmax};
use occ::candle::{OccTensors, save};
use occ::{Encoding, convert::Checkpoint};
use std::path::Path;

const WIDTH: usize = 64;
const TOKENS: usize = 200;

struct Model {
    embedding: Embedding,
    projections: [Linear; 3],
    norm: LayerNorm,
    up: Linear,
    down: Linear,
    head: Linear,
}

impl Model {
    fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let linear = |name| candle_nn::linear(WIDTH, WIDTH, vb.pp("attention").pp(name));
        Ok(Self {
            embedding: candle_nn::embedding(TOKENS, WIDTH, vb.pp("embedding"))?,
            projections: [linear("q")?, linear("k")?, linear("v")?],
            norm: candle_nn::layer_norm(WIDTH, 1e-5, vb.pp("norm"))?,
            up: candle_nn::linear_no_bias(WIDTH, 4 * WIDTH, vb.pp("up"))?,
            down: candle_nn::linear_no_bias(4 * WIDTH, WIDTH, vb.pp("down"))?,
            head: candle_nn::linear_no_bias(WIDTH, TOKENS, vb.pp("head"))?,
        })
    }

    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let x = self.norm.forward(&self.embedding.forward(tokens)?)?;
        let [q, k, v] = &self.projections;
        let scores = (q.forward(&x)?.matmul(&k.forward(&x)?.t()?)? / (WIDTH as f64).sqrt())?;
        let x = (&x + softmax(&scores, 1)?.matmul(&v.forward(&x)?)?)?;
        let x = (&x + self.down.forward(&self.up.forward(&x)?.gelu()?)?)?;
        self.head.forward(&x)
    }
}

fn outputs(vb: &VarBuilder<'_>) -> Vec<f32> {
    let tokens = Tensor::arange(0u32, 50, &cpu()).unwrap();
    let outputs = Model::load(vb).and_then(|model| model.forward(&tokens)).unwrap();
    outputs.flatten_all().unwrap().to_vec1().unwrap()
}

fn outputs_of(path: &Path) -> Vec<f32> {
    let tensors = OccTensors::open(path).unwrap();
    outputs(&VarBuilder::from_backend(Box::new(tensors), DType::F32, Device::Cpu))
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn outputs_are_those_of_the_safetensors_file() {
    let device = cpu();
    let variables = VarMap::new();
    Model::load(&VarBuilder::from_varmap(&variables, DType::F32, &device)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    let original = path("model.safetensors");
    variables.save(&original).unwrap();
    let tensors = candle_core::safetensors::load(&original, &device).unwrap();
    let expected = outputs(&VarBuilder::from_tensors(tensors.clone(), DType::F32, &device));
    assert!(expected.iter().all(|output| output.is_finite()));

    let lossless = path("lossless.occ");
    let mut writer = occ::Writer::create(&lossless, occ::WriteOptions::default()).unwrap();
    Checkpoint::open(&original).unwrap().write_to(&mut writer, None).unwrap();
    writer.finish().unwrap();
    assert_eq!(outputs_of(&lossless), expected);

    let mut cosines = Vec::new();
    for bits in [8.0, 4.0] {
        let lossy = path("lossy.occ");
        save(&tensors, &lossy, &Encoding::bits(bits)).unwrap();
        let found = outputs_of(&lossy);
        assert_ne!(found, expected);
        cosines.push(cosine(&found, &expected));
    }
    assert!(cosines[0] > 0.999 && cosines[1] > 0.9, "{cosines:?}");
}

#[test]
fn a_model_that_the_file_does_not_contain_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.occ");
    let tensor = Tensor::zeros((2, 3), DType::F32, &cpu()).unwrap();
    save(&[("head.weight", tensor)].into(), &path, &Encoding::lossless()).unwrap();
    let tensors = OccTensors::open(&path).unwrap();
    let vb = VarBuilder::from_backend(Box::new(tensors), DType::F32, cpu());
    assert!(vb.contains_tensor("head.weight") && !vb.contains_tensor("tail.weight"));
    let message = |result: Result<Tensor>| result.unwrap_err().to_string();
    let shape = message(vb.get((3, 2), "head.weight"));
    assert!(shape.contains("head.weight") && shape.contains("[2, 3]"), "{shape}");
    let name = message(vb.get((3, 2), "tail.weight"));
    assert!(name.contains("tail.weight"), "{name}");
}
