"""`snnc compare --gpu`: what one training step of a model moves, beside a model of the same step on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._drawing import draw
from ._execution import Execution
from ._output import Output

if TYPE_CHECKING:
    from ..compiler.pipeline import Compilation

MEBI = 2**20


def compare_gpu(shared: Compilation, execution: Execution, output: Output, plot: str | None, cache: int) -> None:
    """The table, the JSON and the picture, with *cache* MiB of L2; with data, a step is run and its bytes counted."""
    from ..compiler.cost.gpu import modelled
    from ..compiler.passes.differentiate import build_training
    from ..compiler.passes.repeated import repeated
    from ..reports.gpu_comparison import GpuComparison, gpu_report, gpu_table, meanings_text
    from ..reports.json_report import predicted_traffic
    from ._program import load_data_for

    options = shared.training_options
    network = repeated(shared.network) if options.coding == "direct" else shared.network
    models = modelled(build_training(network, options), cache * MEBI)
    counted = None
    if execution.data:
        dataset = load_data_for(execution.data, shared.network, judged=True)
        _, _, run = execution.perform(shared.program, dataset)
        counted = None if run.counted_step is None else int(run.counted_step.total.dram)
    comparison = GpuComparison(
        shared.network.name,
        shared.target.name,
        shared.cores,
        options.batch,
        options.steps,
        int(predicted_traffic(shared.program)["train_step"]["dram"]["total"]),
        counted,
        cache * MEBI,
        models,
    )
    output.show(gpu_table(comparison))
    output.say(meanings_text(comparison))
    output.value(gpu_report(comparison))
    if plot is not None:
        from ..reports.gpu_plot import gpu_figure

        draw(output, plot, lambda: gpu_figure(comparison))
