//! Sentence embeddings with BERT, from an `.occ` file or a folder with safetensors.
//!
//! ```sh
//! occ compress all-MiniLM-L6-v2/ -o minilm.occ --bits 4
//! cargo run --release --manifest-path examples/candle/Cargo.toml --bin embeddings -- minilm.occ
//! ```

use anyhow::{Error, Result};
use candle_core::{DType, Device, Tensor};
use candle_transformers::models::bert::{BertModel, Config};
use clap::Parser;
use occ_candle_examples::{ModelFiles, print_loading};
use std::path::PathBuf;
use std::time::Instant;
use tokenizers::Tokenizer;

/// Embed sentences, and compare the embeddings with those of another file of the same model.
#[derive(Parser)]
struct Args {
    /// An .occ file, or a folder with model.safetensors, config.json and tokenizer.json
    model: PathBuf,

    /// Another file or folder of the same model
    #[arg(long, value_name = "MODEL")]
    reference: Option<PathBuf>,
}

struct Embedder {
    tokenizer: Tokenizer,
    bert: BertModel,
}

impl Embedder {
    fn load(files: &ModelFiles) -> Result<Self> {
        let config: Config = serde_json::from_slice(&files.file("config.json")?)?;
        let mut tokenizer =
            Tokenizer::from_bytes(files.file("tokenizer.json")?).map_err(Error::msg)?;
        tokenizer.with_padding(None);
        let bert = BertModel::load(files.weights(DType::F32, &Device::Cpu)?, &config)?;
        Ok(Self { tokenizer, bert })
    }

    /// The mean of the outputs of all tokens, of length 1.
    fn embed(&self, sentence: &str) -> Result<Vec<f32>> {
        let tokens = self.tokenizer.encode(sentence, true).map_err(Error::msg)?;
        let ids = Tensor::new(tokens.get_ids(), &Device::Cpu)?.unsqueeze(0)?;
        let outputs = self.bert.forward(&ids, &ids.zeros_like()?, None)?;
        let mean = outputs.mean(1)?.squeeze(0)?;
        let length = mean.sqr()?.sum_all()?.sqrt()?;
        Ok(mean.broadcast_div(&length)?.to_vec1()?)
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let began = Instant::now();
    let files = ModelFiles::open(&args.model)?;
    let embedder = Embedder::load(&files)?;
    print_loading(&files, began)?;
    let sentences: Vec<&str> = include_str!("../sentences.txt").lines().collect();
    let embed = |embedder: &Embedder| -> Result<Vec<Vec<f32>>> {
        sentences.iter().map(|sentence| embedder.embed(sentence)).collect()
    };
    let embeddings = embed(&embedder)?;
    if let Some(reference) = &args.reference {
        let reference = embed(&Embedder::load(&ModelFiles::open(reference)?)?)?;
        let cosine = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| a * b).sum();
        let cosines: Vec<f32> = embeddings.iter().zip(&reference).map(cosine).collect();
        let mean = cosines.iter().sum::<f32>() / cosines.len() as f32;
        let least = cosines.iter().copied().fold(1.0, f32::min);
        let equal = embeddings == reference;
        println!("cosine:           mean {mean:.5}, least {least:.5}, {} sentences", cosines.len());
        println!("bit-identical:    {}", if equal { "yes" } else { "no" });
    }
    println!("most similar to “{}”:", sentences[0]);
    let similarity =
        |other: &[f32]| -> f32 { embeddings[0].iter().zip(other).map(|(a, b)| a * b).sum() };
    let mut ranked: Vec<(f32, &str)> =
        embeddings.iter().map(|other| similarity(other)).zip(sentences.iter().copied()).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (similarity, sentence) in &ranked[1..4] {
        println!("  {similarity:.3}  {sentence}");
    }
    Ok(())
}
