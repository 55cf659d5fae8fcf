"""Fibers in gdb, in a live process or a core dump.

    (gdb) source tools/gdb/weir.py
    (gdb) weir fibers        lists the fibers of every thread that has a loop
    (gdb) weir bt N          the backtrace of fiber N of that list
    (gdb) weir bt all        of every fiber that waits

A backtrace of the fiber that runs needs no help: plain `bt` ends at the fiber's beginning. Of one
that waits, gdb walks the stack as it would a thread's, with arguments and lines; in a core dump,
where registers cannot be set, the chain of frame pointers is followed instead, which gives the
functions and lines alone. Let the kernel write the core: gdb's own generate-core-file leaves stacks
out, since it cannot read the guards between them.

It reads struct loop, struct stacks, struct slab and struct fiber (src/run), which must have their
debug information.
"""

import gdb

STATES = ["free", "ready", "running", "parked"]
LINE = 64  # stacks.c puts a fiber so many bytes, rounded up, below its stack's top

# Names of registers, and which word above the stack pointer of a stopped fiber holds the address to
# go on at and the frame pointer: see struct frame in src/run/switch.c.
X86_64 = {"pc": "rip", "sp": "rsp", "return": 6, "frame": 5}
AARCH64 = {"pc": "pc", "sp": "sp", "return": 11, "frame": 10}


def machine():
    name = gdb.selected_inferior().architecture().name()
    return AARCH64 if "aarch64" in name else X86_64


def word(address):
    pointer = gdb.lookup_type("unsigned long").pointer()
    return int(gdb.Value(address).cast(pointer).dereference())


class Fiber:
    """One struct fiber that lives."""

    def __init__(self, thread, value, stack_size):
        self.thread = thread
        self.value = value
        self.address = int(value.address)
        self.stack_top = self.address
        self.stack_bottom = self.address - stack_size
        self.state = STATES[int(value["state"])]

    def describe(self):
        flags = " cancelled" if self.value["cancelled"] else ""
        where = "" if self.state == "running" else f" in {self.waits_in()}"
        run = self.value["run"].format_string(address=False, symbols=True).strip("<>")
        return f"thread {self.thread.num}  {self.address:#x}  {self.state}{flags}  {run}{where}"

    def stack_pointer(self):
        return int(self.value["context"]["stack_pointer"])

    def calls(self):
        """Return addresses, innermost first, along the chain of frame pointers."""
        kinds = machine()
        stopped = self.stack_pointer()
        yield word(stopped + 8 * kinds["return"])
        frame = word(stopped + 8 * kinds["frame"])
        while self.stack_bottom <= frame < self.stack_top:
            yield word(frame + 8)
            frame = word(frame)

    def waits_in(self):
        """The innermost function that is not of the run floor, or all that is known."""
        name = "?"
        for pc in self.calls():
            function = gdb.block_for_pc(pc)
            while function and not function.function:
                function = function.superblock
            if not function:
                break
            name = function.function.name
            if "src/run/" not in function.function.symtab.filename:
                break
        return name

    def backtrace(self):
        if self.state == "running":
            print("it runs: see `bt` in its thread")
        elif not self.backtrace_by_registers():
            for number, pc in enumerate(self.calls()):
                name = gdb.execute(f"info symbol {pc}", to_string=True).split()[0]
                print(f"#{number}  {pc:#x} in {name} () at {line_of(pc)}")

    def backtrace_by_registers(self):
        """Lends the fiber's registers to its thread for a moment; False when that cannot be."""
        kinds = machine()
        selected = gdb.selected_thread()
        self.thread.switch()
        gdb.newest_frame().select()
        names = [kinds["pc"], kinds["sp"]]
        old = {name: int(gdb.parse_and_eval(f"${name}")) for name in names}
        try:
            gdb.execute(f"set ${kinds['sp']} = {self.stack_pointer()}")
            gdb.execute(f"set ${kinds['pc']} = (unsigned long)&context_resume")
        except gdb.error:
            selected.switch()
            return False
        try:
            gdb.execute("bt")
        finally:
            gdb.newest_frame().select()
            gdb.execute(f"set ${kinds['sp']} = {old[kinds['sp']]}")
            gdb.execute(f"set ${kinds['pc']} = {old[kinds['pc']]}")
            selected.switch()
        return True


def line_of(pc):
    place = gdb.find_pc_line(pc - 1)
    return f"{place.symtab.filename}:{place.line}" if place.symtab else "?"


def fibers_of_loop(thread, loop):
    stacks = loop["stacks"]
    kind = gdb.lookup_type("struct fiber")
    below_top = (kind.sizeof + LINE - 1) // LINE * LINE
    slot_size, stack_size = int(stacks["slot_size"]), int(stacks["stack_size"])
    slab = stacks["slabs"]
    while slab:
        slots = slab.dereference()["cold"].type.range()[1] + 1
        cold = {int(slab["cold"][i]) for i in range(int(slab["cold_count"]))}
        for i in sorted(set(range(slots)) - cold):
            top = int(slab["memory"]) + (i + 1) * slot_size
            value = gdb.Value(top - below_top).cast(kind.pointer()).dereference()
            if int(value["state"]) != STATES.index("free"):
                yield Fiber(thread, value, stack_size)
        slab = slab["next"]


def all_fibers():
    selected = gdb.selected_thread()
    found = []
    for thread in sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.num):
        thread.switch()
        loop = gdb.parse_and_eval("loop_here")
        if loop:
            found += fibers_of_loop(thread, loop)
    selected.switch()
    return found


class Weir(gdb.Command):
    """weir fibers | weir bt N | weir bt all"""

    def __init__(self):
        super().__init__("weir", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        fibers = all_fibers()
        if words == ["fibers"]:
            for number, fiber in enumerate(fibers):
                print(f"{number}  {fiber.describe()}")
        elif words == ["bt", "all"]:
            for number, fiber in enumerate(fibers):
                print(f"fiber {number}  {fiber.describe()}")
                fiber.backtrace()
        elif len(words) == 2 and words[0] == "bt" and words[1].isdigit():
            if int(words[1]) >= len(fibers):
                raise gdb.GdbError(f"there are {len(fibers)} fibers")
            fibers[int(words[1])].backtrace()
        else:
            raise gdb.GdbError(self.__doc__)


Weir()
