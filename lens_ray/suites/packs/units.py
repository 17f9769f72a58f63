"""The units that a pack may name, closed: `UNITS`."""

from __future__ import annotations

from collections.abc import Mapping

#: Name to (dimension, factor, offset, other spellings); base = value * factor + offset, where
#: factor and offset are exact decimals or fractions.
UNITS: Mapping[str, tuple[str, str, str, tuple[str, ...]]] = {
    "mm": ("length", "1", "0", ("millimeter", "millimetre", "millimeters", "millimetres")),
    "cm": ("length", "10", "0", ("centimeter", "centimetre", "centimeters", "centimetres")),
    "m": ("length", "1000", "0", ("meter", "metre", "meters", "metres")),
    "in": ("length", "25.4", "0", ("inch", "inches", "″")),
    "Pa": ("pressure", "1", "0", ("pascal", "pascals")),
    "kPa": ("pressure", "1000", "0", ("KPa", "kpa", "kilopascal", "kilopascals")),
    "MPa": ("pressure", "1000000", "0", ("megapascal", "megapascals")),
    "mbar": ("pressure", "100", "0", ("millibar",)),
    "bar": ("pressure", "100000", "0", ("Bar", "BAR", "bars")),
    # 0.45359237 kg x 9.80665 m/s2 on a square of 0.0254 m, in lowest terms.
    "psi": ("pressure", "8896443230521/1290320000", "0", ("PSI", "Psi")),
    "mmHg": ("pressure", "133.322387415", "0", ("mmhg", "mm Hg", "MMHG")),
    "C": ("temperature", "1", "273.15", ("°C", "° C", "℃", "deg C", "celsius",
                                         "degrees celsius", "degrees C")),
    "F": ("temperature", "5/9", "45967/180", ("°F", "° F", "℉", "deg F", "fahrenheit",
                                              "degrees fahrenheit", "degrees F")),
    "K": ("temperature", "1", "0", ("kelvin", "kelvins")),
    "mg": ("mass", "0.001", "0", ("milligram", "milligrams")),
    "g": ("mass", "1", "0", ("gram", "grams", "gr")),
    "kg": ("mass", "1000", "0", ("Kg", "KG", "kilogram", "kilograms", "kilo", "kilos")),
    "lb": ("mass", "453.59237", "0", ("lbs", "LB", "lb.", "pound", "pounds")),
    "mV": ("voltage", "0.001", "0", ("millivolt", "millivolts")),
    "V": ("voltage", "1", "0", ("volt", "volts")),
    "kV": ("voltage", "1000", "0", ("kilovolt", "kilovolts")),
    "mA": ("current", "0.001", "0", ("milliampere", "milliamperes", "milliamp", "milliamps")),
    "A": ("current", "1", "0", ("ampere", "amperes", "amp", "amps")),
    "ml": ("volume", "0.001", "0", ("mL", "milliliter", "millilitre", "milliliters",
                                    "millilitres")),
    "l": ("volume", "1", "0", ("L", "liter", "litre", "liters", "litres")),
    "rpm": ("speed", "1", "0", ("RPM", "r/min", "1/min")),
    "bpm": ("rate", "1", "0", ("BPM", "beats per minute", "/min")),
    "%": ("share", "1", "0", ("percent", "per cent")),
    "pcs": ("pieces", "1", "0", ("pc", "pcs.", "pc.", "piece", "pieces", "PCS")),
}  # fmt: skip
