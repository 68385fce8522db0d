"""How much memory a training needs, before anything is trained or read."""

from .commands import plan_memory, print_plan, save_plan
from .plan import MemoryPlan, Setting

__all__ = ["MemoryPlan", "Setting", "plan_memory", "print_plan", "save_plan"]
