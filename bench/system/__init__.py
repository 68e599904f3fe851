"""The machine: devices, what runs beside a measurement, versions."""
