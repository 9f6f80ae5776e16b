"""Fine-tune an LLM into survey participants (arXiv 2403.20252): prompts from profiles, LoRA and QLoRA, answers.

A virtual participant is a prompt: the profile in words, one question, the possible answers. The model is tuned on the
training participants' answers, with a loss on the answers' tokens alone, and asked by scoring every possible answer.

    config = TuneConfig(adapter="lora", gamma=0.5)                         crowdllm.config
    tuned = tune([study], "Qwen/Qwen3-8B", config, seed=0, out=folder)    .tuning      Tuned, also saved in `folder`
    tuned = load_tuned(folder)                                            .artifact    refuses another base model
    plain = untuned("Qwen/Qwen3-8B", config)                              .tuned       the base model, asked likewise
    asked = tuned.interview(study)                                        .interview   how this study is asked
    shares = answer_shares(tuned, asked, problems, people, i_R, t_R)      .answers     Shares: log_p_RM over candidates
    p_RM = shares.at(temperature)                                         .answers     0 is greedy, 1 the model's own
    values_RD = draw_answers(shares, temperature, uniform_R)              .answers
    curve, best = calibrate(shares, responses, kind)                      .calibration KL and RMSE over temperatures
    fit_margins(shares, problems, responses).apply(...)                   .margins     to known shares of each question
    held = held_out_shares(tuned, [study])                                .held_out    the people held out of tuning
    found = audit(held[0].study, before, held[0].shares)                  .audit       groups before and after tuning
    texts = free_texts(tuned, asked, problems, people, i_R, t_R, ...)     .free_text   written answers, failure rate
    folder = small_decoder(folder, texts, width=256, layers=4)            .decoder     5-20 M weights, from scratch
    estimate_tuning(model_config, needs, config)                          .memory      bytes and seconds, before tuning

Further parts: `candidates` (possible answers as texts and numbers), `cells` (distinct prompts and how often each answer
was given to them), `scoring` (log probabilities of all candidates in one pass), `loss`, `adapters`, `batches` (their
order, the learning rate), `run_state` (what is on disk while tuning runs), `backend` (references without persona),
`base_model` (which model it is, and in how many bits). As rows of a comparison: `crowdllm.methods.tuned`.

Everything heavy (torch, transformers, peft, bitsandbytes) is imported when a function needs it.

Shapes: R pairs of a person and a problem, C cells, B prompts of a batch, M candidates, S tokens of an answer, n nodes
of the tree of answers, L tokens of the longest prompt, V vocabulary.
"""
