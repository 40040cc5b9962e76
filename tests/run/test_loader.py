"""PyTorch loaders: after a cut anywhere, the batches, the augmentation and the generators are the undisturbed ones."""

# ruff: noqa: NPY002  (the global generator, as users have it)
from __future__ import annotations

import gc
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

import outlast
from outlast.errors import MismatchError, UsageError
from outlast.run import draws
from outlast.run.iterables import resume
from outlast.run.loader import WorkersGone
from outlast.run.position import Positions

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes"),  # on two cores
]
SIZE = 23


class Digits(Dataset):
    """Counts what is read of it, in all processes; augments with every generator there is."""

    def __init__(self, size=SIZE, *, augment=True):
        self.size, self.augment = size, augment
        self.reads = multiprocessing.get_context("fork").Value("i", 0)
        self.rng = np.random.default_rng(5)

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        with self.reads.get_lock():
            self.reads.value += 1
        if not self.augment:
            return torch.tensor([float(index)])
        own = self.rng.random()
        return torch.tensor(
            [index, torch.rand(()).item(), random.random(), np.random.random(), own], dtype=torch.float64
        )


class Halves(Sampler):
    """Draws from `random`, as the epoch begins and as it goes."""

    def __iter__(self):
        order = list(range(SIZE))
        random.shuffle(order)
        for index in order:
            random.random()
            yield index

    def __len__(self):
        return SIZE


class Held(Sampler):
    """Draws from a generator of its own."""

    def __init__(self):
        self.rng = np.random.default_rng(3)

    def __iter__(self):
        return iter(self.rng.permutation(SIZE).tolist())

    def __len__(self):
        return SIZE


def generator(seed=11):
    return torch.Generator().manual_seed(seed)


def shuffled(**settings):
    return DataLoader(Digits(), batch_size=4, shuffle=True, **settings)


def own_generator(**settings):
    return DataLoader(Digits(), batch_size=4, shuffle=True, generator=generator(), **settings)


def last_dropped(**settings):
    return DataLoader(Digits(), batch_size=4, shuffle=True, drop_last=True, **settings)


def in_sequence(**settings):
    return DataLoader(Digits(), batch_size=4, **settings)


def with_replacement(**settings):
    data = Digits()
    sampler = RandomSampler(data, replacement=True, num_samples=70, generator=generator())
    return DataLoader(data, batch_size=9, sampler=sampler, **settings)


def subset(**settings):
    return DataLoader(Digits(), batch_size=4, sampler=SubsetRandomSampler(list(range(3, 20))), **settings)


def weighted(**settings):
    return DataLoader(Digits(), batch_size=4, sampler=WeightedRandomSampler([1.0, 2.0, 3.0] * 7, 20), **settings)


def batches_drawn(**settings):
    return DataLoader(Digits(), batch_sampler=BatchSampler(Held(), 5, drop_last=False), **settings)


def lazily_drawn(**settings):
    return DataLoader(Digits(), batch_size=4, sampler=Halves(), **settings)


def not_batched(**settings):
    return DataLoader(Digits(9), batch_size=None, shuffle=True, **settings)


def distributed(**settings):
    data = Digits(2 * SIZE)
    return DataLoader(data, batch_size=4, sampler=DistributedSampler(data, num_replicas=2, rank=1, seed=3), **settings)


KINDS = [
    shuffled, own_generator, last_dropped, in_sequence, with_replacement, subset, weighted, batches_drawn, lazily_drawn,
    not_batched, distributed,
]  # fmt: skip


class Training:
    """What a run does around a loader, on a small scale: draws in each step, saves at each boundary."""

    def __init__(self, loader, saved=None, *, pending=lambda: False):
        self.loader, self.pending = loader, pending
        self.positions = Positions()
        self.seen, self.saves, self.said = [], [], []
        if saved is not None:
            self.positions.load(json.loads(saved[1]))
            draws.put_back(draws.shared(), saved[2])

    def save(self):
        self.saves.append((len(self.seen), json.dumps(self.positions.dump()), draws.take(draws.shared())))

    def range(self, total, name):
        with self.positions.enter(name, total) as loop:
            for index in range(loop.start, total):
                yield index
                loop.advance()
                self.save()

    def iterate(self, source, name):
        with self.positions.enter(name) as loop:
            for item in resume(source, loop, notice_pending=self.pending, warn=self.said.append):
                yield item
                loop.advance()
                self.save()

    def epochs(self, count=2):
        for epoch in self.range(count, "epoch"):
            sampler = getattr(self.loader, "sampler", None)
            if isinstance(sampler, DistributedSampler):
                sampler.set_epoch(epoch)
            for batch in self.iterate(self.loader, "batch"):
                noise = (torch.rand(()).item(), random.random(), np.random.random())
                self.seen.append((epoch, batch.tolist(), noise))
        return self

    def end(self):
        return [str(state) for state in draws.packed(draws.take(draws.shared())).values()]


def begin():
    torch.manual_seed(1)
    random.seed(2)
    np.random.seed(3)


def elsewhere():
    """Another process has its generators elsewhere."""
    torch.manual_seed(98)
    random.seed(97)
    np.random.seed(96)


def compare(make, settings, cuts, epochs=2):
    begin()
    undisturbed = Training(make(**settings)).epochs(epochs)
    end = undisturbed.end()
    assert len(undisturbed.seen) >= 8
    for cut in cuts:
        saved = undisturbed.saves[cut]
        elsewhere()
        resumed = Training(make(**settings), saved).epochs(epochs)
        assert resumed.seen == undisturbed.seen[saved[0] :], f"cut after save {cut}"
        assert resumed.end() == end
        for (_, ours, _), (_, theirs, _) in zip(resumed.saves, undisturbed.saves[cut + 1 :], strict=True):
            assert ours == theirs
        assert resumed.loader.dataset.reads.value == samples(resumed.seen)
    return undisturbed


def samples(seen):
    return sum(len(batch) if isinstance(batch[0], list) else 1 for _, batch, _ in seen)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_in_process(make):
    begin()
    total = len(Training(make()).epochs().saves)
    compare(make, {}, range(total))


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_four_workers(make):
    compare(make, {"num_workers": 4}, [1, -4])


@pytest.mark.parametrize("cut", range(6))
def test_four_workers_cut_at_each_batch(cut):
    compare(shuffled, {"num_workers": 4}, [cut])


def test_the_order_and_the_draws_are_those_of_the_bare_loader():
    begin()
    bare = [batch.tolist() for _ in range(2) for batch in shuffled()]
    after = torch.rand(())
    begin()
    positions = Positions()
    ours = []
    for _ in range(2):
        with positions.enter("batch") as loop:
            ours += [b.tolist() for b in resume(shuffled(), loop, notice_pending=bool, warn=pytest.fail)]
    assert ours == bare
    assert torch.equal(torch.rand(()), after)


def test_augmentation_in_workers_differs_by_epoch_and_batch():
    begin()
    seen = Training(DataLoader(Digits(8), batch_size=2, num_workers=2)).epochs(2).seen
    for column in range(1, 5):
        values = {row[column] for _, batch, _ in seen for row in batch}
        assert len(values) == 16


def test_persistent_workers():
    compare(shuffled, {"num_workers": 2, "persistent_workers": True}, [2, 6, 7, 9], epochs=3)


def test_persistent_workers_live_on_from_epoch_to_epoch():
    pids = set()

    class Who(Digits):
        def __getitem__(self, index):
            return torch.tensor([os.getpid()])

    loader = DataLoader(Who(8), batch_size=2, num_workers=2, persistent_workers=True)
    for _, batch, _ in Training(loader).epochs(3).seen:
        pids |= {pid for (pid,) in batch}
    assert len(pids) == 2
    del loader
    gc.collect()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_settings_of_the_loader_are_kept():
    def init(worker):
        info = torch.utils.data.get_worker_info()
        assert isinstance(info.dataset, Digits)
        info.dataset.size = -worker

    class Tell(Digits):
        def __getitem__(self, index):
            return index, self.size

    def collate(samples):
        return torch.tensor(samples).flip(0)

    loader = DataLoader(
        Tell(8), batch_size=2, num_workers=2, collate_fn=collate, worker_init_fn=init, prefetch_factor=1, timeout=60,
        multiprocessing_context="fork", sampler=range(8),
    )  # fmt: skip
    batches = [batch for _, batch, _ in Training(loader).epochs(1).seen]
    assert batches == [[[1, 0], [0, 0]], [[3, -1], [2, -1]], [[5, 0], [4, 0]], [[7, -1], [6, -1]]]


def test_a_loop_inside_the_pass_reads_its_batch_again_alike():
    def train(training):
        for batch in training.iterate(training.loader, "batch"):
            for part in training.range(3, "part"):
                training.seen.append((part, batch.tolist(), torch.rand(()).item()))

    for workers in (0, 2):
        begin()
        undisturbed = Training(shuffled(num_workers=workers))
        train(undisturbed)
        end = undisturbed.end()
        for saved in undisturbed.saves[:: 1 if workers == 0 else 5]:
            elsewhere()
            resumed = Training(shuffled(num_workers=workers), saved)
            train(resumed)
            assert resumed.seen == undisturbed.seen[saved[0] :]
            assert resumed.end() == end


@pytest.mark.parametrize("seed", [lambda epoch: 5, lambda epoch: 5 + epoch], ids=["alike", "by epoch"])
def test_a_generator_that_the_program_seeds_for_each_epoch(seed):
    def train(training):
        for epoch in training.range(4, "epoch"):
            training.loader.generator.manual_seed(seed(epoch))
            for batch in training.iterate(training.loader, "batch"):
                training.seen.append((epoch, batch.tolist(), None))
        return training

    begin()
    undisturbed = train(Training(own_generator()))
    for saved in undisturbed.saves[8:]:  # from the second epoch on it is known that they are alike
        elsewhere()
        assert train(Training(own_generator(), saved)).seen == undisturbed.seen[saved[0] :]


def test_a_generator_that_two_loaders_share():
    def train(training):
        shared = generator()
        one = DataLoader(Digits(9, augment=False), batch_size=4, shuffle=True, generator=shared)
        two = DataLoader(Digits(9, augment=False), batch_size=4, shuffle=True, generator=shared)
        for epoch in training.range(3, "epoch"):
            for loader, name in ((one, "train"), (two, "valid")):
                for batch in training.iterate(loader, name):
                    training.seen.append((epoch, name, batch.tolist()))
        return training.seen

    undisturbed = Training(None)
    train(undisturbed)
    for saved in undisturbed.saves:
        assert train(Training(None, saved)) == undisturbed.seen[saved[0] :]


def test_a_loop_that_comes_up_late_inside_a_pass_is_said():
    def train(training):
        for index, batch in enumerate(training.iterate(training.loader, "batch")):
            if training.positions.steps_done + index >= 6:
                list(training.range(2, "part"))
            training.seen.append(batch.tolist())

    undisturbed = Training(in_sequence())
    train(undisturbed)
    saved = next(saved for saved in undisturbed.saves if len(json.loads(saved[1])["open"]) == 2)
    resumed = Training(in_sequence(), saved)
    with pytest.raises(MismatchError):  # this program does not come by its loops the same way again
        train(resumed)
    assert "read again with other random choices" in resumed.said[0]


def test_other_data_is_a_mismatch_and_leaves_no_worker():
    begin()
    saved = Training(DataLoader(Digits(20), batch_size=4, shuffle=True, num_workers=2)).epochs(1).saves[1]
    for size, how in ((24, "other indices"), (3, "gives 1 batches, it gave")):
        loader = DataLoader(Digits(size), batch_size=4, shuffle=True, num_workers=2)
        with pytest.raises(MismatchError, match=f"BatchSampler does not give the order again.*{how}"):
            Training(loader, saved).epochs(1)
    assert workers_of_this_process() == []


def test_a_dataset_that_has_grown_is_a_mismatch_once_all_was_drawn():
    saved = Training(DataLoader(Digits(20), batch_size=4, num_workers=2)).epochs(1).saves[2]
    with pytest.raises(MismatchError, match="gives more than 5 batches"):
        Training(DataLoader(Digits(24), batch_size=4, num_workers=2), saved).epochs(1)


def test_a_sampler_that_cannot_repeat_is_a_mismatch():
    class Fickle(Sampler):
        def __iter__(self):
            return iter(random.SystemRandom().sample(range(SIZE), SIZE))

        def __len__(self):
            return SIZE

    saved = Training(DataLoader(Digits(), sampler=Fickle())).epochs(1).saves[5]
    with pytest.raises(MismatchError, match="BatchSampler does not give the order again"):
        Training(DataLoader(Digits(), sampler=Fickle()), saved).epochs(1)


def test_out_of_order_is_not_honoured():
    training = Training(DataLoader(Digits(8, augment=False), num_workers=2, in_order=False)).epochs(1)
    assert [batch for _, batch, _ in training.seen] == [[[float(i)]] for i in range(8)]
    assert "in_order=False is not honoured" in training.said[0]


class Stream(IterableDataset):
    def __init__(self):
        self.reads = multiprocessing.get_context("fork").Value("i", 0)

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        for number in range(SIZE)[info.id if info else 0 :: info.num_workers if info else 1]:
            with self.reads.get_lock():
                self.reads.value += 1
            yield torch.tensor(
                [number, torch.rand(()).item(), random.random(), np.random.random()], dtype=torch.float64
            )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_is_read_again_with_a_warning(workers):
    begin()
    undisturbed = Training(DataLoader(Stream(), batch_size=4, num_workers=workers)).epochs(2)
    end = undisturbed.end()
    for cut in (2, -3):
        saved = undisturbed.saves[cut]
        elsewhere()
        resumed = Training(DataLoader(Stream(), batch_size=4, num_workers=workers), saved).epochs(2)
        assert resumed.seen == undisturbed.seen[saved[0] :]
        assert resumed.end() == end
        assert len(resumed.said) == 1
        assert "only by reading" in resumed.said[0]


class Counting(IterableDataset):
    """A stream that knows where it is."""

    def __init__(self):
        self.at, self.reads = 0, 0

    def __iter__(self):
        while self.at < SIZE:
            self.at += 1
            self.reads += 1
            yield torch.tensor([self.at - 1.0, torch.rand(()).item()])
        self.at = 0

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


def test_a_stream_that_knows_where_it_is_is_not_read_again():
    begin()
    undisturbed = Training(DataLoader(Counting(), batch_size=4)).epochs(2)
    end = undisturbed.end()
    for saved in undisturbed.saves:
        elsewhere()
        resumed = Training(DataLoader(Counting(), batch_size=4), saved).epochs(2)
        assert resumed.seen == undisturbed.seen[saved[0] :]
        assert resumed.end() == end
        assert resumed.loader.dataset.reads == samples(resumed.seen)
        assert resumed.said == []


def test_a_subclass_with_a_generator_for_iter():
    class Ahead(DataLoader):
        """Looks one batch ahead, as loaders of other libraries do."""

        def __iter__(self):
            held = None
            for batch in super().__iter__():
                if held is not None:
                    yield held
                held = batch
            yield held

    def make(**settings):
        return Ahead(Digits(augment=False), batch_size=4, shuffle=True, **settings)

    for workers in (0, 2):
        compare_order(make, {"num_workers": workers})


def compare_order(make, settings):
    begin()
    undisturbed = Training(make(**settings)).epochs()
    for cut in (1, 4, 7):
        saved = undisturbed.saves[cut]
        elsewhere()
        resumed = Training(make(**settings), saved).epochs()
        assert resumed.seen == undisturbed.seen[saved[0] :]


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_stateful_data_loader():
    with warnings_ignored():
        from torchdata import stateful_dataloader as stateful

    def make():
        return stateful.StatefulDataLoader(Digits(augment=False), batch_size=4, shuffle=True)

    begin()
    undisturbed = Training(make()).epochs()
    end = undisturbed.end()
    for saved in undisturbed.saves:
        elsewhere()
        resumed = Training(make(), saved).epochs()
        assert resumed.seen == undisturbed.seen[saved[0] :], saved[1]
        assert resumed.end() == end, saved[1]


def warnings_ignored():
    return warnings.catch_warnings(action="ignore")


def test_a_stateful_source_cannot_hold_a_loop():
    training = Training(DataLoader(Counting(), batch_size=4))
    with pytest.raises(UsageError, match="cannot go back by one"):
        for _ in training.iterate(training.loader, "batch"):
            list(training.range(2, "part"))


# -- notices and ends ------------------------------------------------------------------------------------


_before = set()


@pytest.fixture(autouse=True)
def _those_before():
    """Other tests may have left processes: those of joblib stay for some minutes."""
    _before.clear()
    _before.update(child.pid for child in multiprocessing.active_children())


def workers_of_this_process():
    pids = {child.pid for child in multiprocessing.active_children()}
    return [psutil.Process(pid) for pid in pids - _before]


def test_breaking_off_ends_the_workers():
    training = Training(shuffled(num_workers=4))
    for _ in training.iterate(training.loader, "batch"):
        assert len(workers_of_this_process()) == 4
        break
    assert workers_of_this_process() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT])
def test_workers_do_not_hear_the_notice(number):
    training = Training(DataLoader(Digits(12, augment=False), num_workers=2))
    batches = training.iterate(training.loader, "batch")
    next(batches)
    workers = workers_of_this_process()
    assert len(workers) == 2
    for worker in workers:
        worker.send_signal(number)
    assert len(list(batches)) == 11


@pytest.mark.parametrize("persistent_workers", [False, True])
def test_workers_of_a_loader_that_the_run_is_not_told_of_do_not_hear_it_either(tmp_path, persistent_workers):
    """A validation, say: `for x, y in loader` within the block."""
    own = DataLoader._get_iterator
    with outlast.Run(tmp_path / "s", {"x": 1}):
        loader = DataLoader(Digits(12, augment=False), num_workers=2, persistent_workers=persistent_workers)
        for _ in range(2):
            batches = iter(loader)
            next(batches)
            workers = workers_of_this_process()
            assert len(workers) == 2
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            assert len(list(batches)) == 11
        assert len(list(DataLoader(Digits(12, augment=False)))) == 12
    assert DataLoader._get_iterator is own


def test_blocks_that_overlap_leave_loaders_as_they_were(tmp_path):
    own = DataLoader._get_iterator
    first, second = (outlast.Run(tmp_path / name, {"x": 1}) for name in "ab")
    with first, second:
        assert DataLoader._get_iterator is not own
    assert DataLoader._get_iterator is own


class Deadly(Digits):
    """Its reader is killed, while the main process waits for it."""

    def __getitem__(self, index):
        if index == 6:
            while psutil.Process(os.getppid()).status() != psutil.STATUS_SLEEPING:
                time.sleep(0)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def numbers(samples):
    return [sample.tolist() for sample in samples]


@pytest.mark.parametrize("collate", [None, numbers], ids=["tensors", "numbers"])  # tensors are fetched from the worker
def test_workers_gone_while_a_notice_is_pending(collate):
    training = Training(DataLoader(Deadly(), num_workers=2, collate_fn=collate), pending=lambda: True)
    with pytest.raises(WorkersGone, match="data-loader workers were ended"):
        list(training.iterate(training.loader, "batch"))
    assert workers_of_this_process() == []


def test_workers_gone_without_a_notice():
    training = Training(DataLoader(Deadly(), num_workers=2, collate_fn=numbers))
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        list(training.iterate(training.loader, "batch"))
    assert workers_of_this_process() == []


def test_an_error_of_the_data_comes_through_while_a_notice_is_pending():
    class Broken(Digits):
        def __getitem__(self, index):
            raise FileNotFoundError(f"no file {index}")

    for workers in (0, 2):
        training = Training(DataLoader(Broken(), num_workers=workers), pending=lambda: True)
        with pytest.raises(FileNotFoundError, match="no file 0"):
            list(training.iterate(training.loader, "batch"))


PROGRAM = """
    import os, signal, sys, torch
    from torch.utils.data import DataLoader
    from outlast.run.iterables import resume
    from outlast.run.position import Positions

    class Data(torch.utils.data.Dataset):
        def __len__(self): return 100000
        def __getitem__(self, index): return index

    if __name__ == "__main__":
        heard = []
        signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
        signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
        loader = DataLoader(Data(), num_workers=2, multiprocessing_context="{method}")
        loop = Positions().enter("batch")
        items = resume(loader, loop, notice_pending=lambda: False, warn=print)
        count = 0
        for _ in items:
            count += 1
            if count == 5:
                print("ready", flush=True)
            if heard:
                heard.clear()
                print("heard", flush=True)
                {then}
        """


@contextmanager
def program(tmp_path, method, then):
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(PROGRAM).format(method=method, then=then))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_notice_to_the_whole_group_and_an_end_in_the_middle(tmp_path, method):
    with program(tmp_path, method, "sys.exit(85)") as process:
        os.killpg(process.pid, signal.SIGUSR1)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.stdout.readline() == "heard\n"
        assert process.wait(timeout=60) == 85
        gone(process.pid)


def test_killed_main_leaves_no_worker(tmp_path):
    with program(tmp_path, "fork", "pass") as process:
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) == 2
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert alive == []


KILLED_MEANWHILE = """
    import multiprocessing, os, signal, sys, time
    from torch.utils.data import DataLoader
    from torchdata.stateful_dataloader import StatefulDataLoader
    from outlast.run.iterables import resume
    from outlast.run.position import Positions

    MAIN = int(os.environ.setdefault("MAIN", str(os.getpid())))

    def begin(number):
        print(os.getpid(), flush=True)
        if number == 1:
            parent = os.getppid()
            os.kill(MAIN, signal.SIGKILL)
            while os.getppid() == parent:  # torch watches over the one that it has after this
                time.sleep(0.01)

    if __name__ == "__main__":
        multiprocessing.set_start_method("fork")
        make = {"DataLoader": DataLoader, "StatefulDataLoader": StatefulDataLoader}[sys.argv[1]]
        data = make(range(10), num_workers=2, worker_init_fn=begin)
        next(resume(data, Positions().enter("batch"), notice_pending=lambda: False, warn=print))
        signal.pause()
    """


@pytest.mark.parametrize("kind", ["DataLoader", "StatefulDataLoader"])
def test_main_killed_while_its_workers_begin_leaves_none(tmp_path, kind):
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(KILLED_MEANWHILE))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(path), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, env=environment) as process:
        try:
            said, _ = process.communicate(timeout=60)  # till nobody is left who could say something
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert said


def gone(group):
    """Wait until no process of the group is left."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("processes are left")
